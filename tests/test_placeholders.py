import dataclasses
import sys
import types

import pytest

from i2ilr_mm.placeholders import Placeholder, standing_in

NEEDS = dict(nosuch='needs nosuch: pip install nosuch', json='needs another json')


def test_what_is_named_inherited_and_decorated_imports_and_says_so_when_built():
    with standing_in(NEEDS):
        from nosuch.models.unet import Mixin, register
        from nosuch.utils import Output, is_other_available

        class Net(Mixin):
            @register
            def __init__(self): ...

        @dataclasses.dataclass
        class NetOutput(Output):
            sample: int

    assert is_other_available() is False
    for broken in (Net, lambda: NetOutput(sample=1), lambda: Mixin(2)):
        with pytest.raises(ImportError, match='needs nosuch: pip install nosuch'):
            broken()
    with pytest.raises(AttributeError, match=r'nosuch.models.unet.Mixin needs nosuch'):
        Mixin.from_pretrained('x')


def test_a_constant_made_at_import_says_so_when_it_is_used():
    with standing_in(NEEDS):
        import nosuch
        from nosuch.transforms import Normalize

        normalize = Normalize(mean=[0.5])  # as MMagic's disco_diffusion does with torchvision's

        class Block(nosuch.models.inception.InceptionA): ...

    for used in (lambda: normalize(1), lambda: Normalize(mean=[0.5]), Block):
        with pytest.raises(ImportError, match='needs nosuch: pip install nosuch'):
            used()


def test_it_steps_out_and_puts_back_what_was_there():
    import json

    with standing_in(NEEDS):
        import json as other

        assert isinstance(other, Placeholder) and other is not json
    assert sys.modules['json'] is json and 'nosuch' not in sys.modules
    with pytest.raises(ModuleNotFoundError):
        import nosuch  # noqa: F401
    assert json.loads('[1]') == [1]


def test_it_steps_out_after_an_error():
    finders = list(sys.meta_path)
    with pytest.raises(RuntimeError), standing_in(NEEDS):
        raise RuntimeError
    assert sys.meta_path == finders


@pytest.fixture
def slow(tmp_path, monkeypatch) -> str:
    """A package that nothing has imported yet."""
    (tmp_path / 'slow_import').mkdir()
    (tmp_path / 'slow_import/__init__.py').write_text('def double(x): return 2 * x')
    (tmp_path / 'slow_import/nets.py').write_text('class Net:\n    size = 3\n    kind = "net"\n')
    monkeypatch.syspath_prepend(tmp_path)
    yield 'slow_import'
    for name in ('slow_import', 'slow_import.nets'):
        sys.modules.pop(name, None)


def test_deferred_modules_are_imported_when_a_function_is_called(slow):
    with standing_in({}, [slow]):
        import slow_import.nets as nets
        from slow_import import double

        constant = nets.Net()
    assert slow not in sys.modules and not sys.modules.keys() & {'slow_import.nets'}
    assert double(x=3) == 6
    assert sys.modules[slow].double is not double
    assert constant.size == nets.Net().size == nets.Net.size == 3


def test_deferred_classes_are_classes_once_they_are_used(slow):
    with standing_in({}, [slow]):
        from slow_import.nets import Net

    class Mine(Net):
        size = 4

    real = sys.modules['slow_import.nets'].Net
    assert Mine.__mro__[1] is real and Mine.kind == 'net'
    assert isinstance(real(), Net) and issubclass(Mine, Net) and not isinstance(3, Net)


def test_missing_goes_before_deferred(slow):
    with standing_in({slow: 'needs it'}, [slow]):
        from slow_import import double
    with pytest.raises(ImportError, match='needs it'):
        double(3)


def test_a_placeholder_can_be_inspected():
    import inspect

    module = Placeholder('nosuch', 'needs nosuch')
    assert isinstance(module, types.ModuleType) and dir(module.schedulers) == []
    assert inspect.isclass(module.Net) and inspect.getmembers(module) is not None
