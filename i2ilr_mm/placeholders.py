"""Placeholders for packages that MMagic imports for models that are not used here.

``import mmagic.models`` fails without diffusers, transformers and others, and with versions other
than those of 2023. While MMagic is imported, :func:`standing_in` answers for each of them that is
missing or does not fit. Afterwards it steps out again: a program's own ``import transformers``
finds what is installed. MMagic's models of such a package then say what they need when they are
built.
"""

import sys
from abc import ABCMeta
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import FunctionType, ModuleType
from typing import Any


class _Unavailable(ABCMeta):
    """The class of classes that can be named, inherited from and used as a decorator only."""

    importing = False

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        if len(args) == 1 and isinstance(args[0], FunctionType) and not kwargs:
            return args[0]  # as a decorator, on a method of a class that cannot be built
        if _Unavailable.importing:
            return cls  # a constant of a module; whoever uses it gets the error
        raise ImportError(cls._sentence)

    def __getattr__(cls, name: str) -> Any:
        if _Unavailable.importing and not name.startswith('_'):  # a class of a module of a package
            return _Unavailable(name, (), dict(_sentence=cls._sentence, __module__=cls.__module__))
        # Not an ImportError: dataclasses and inspect probe names, and expect this one.
        raise AttributeError(name if name == '_sentence' else cls._sentence)

    def __dir__(cls) -> list[str]:
        return []  # MMagic registers all that diffusers lists


class Placeholder(ModuleType):
    """A module whose attributes are all classes that cannot be instantiated.

    Args:
        name: Of the module, as in an import.
        needs: Says what is missing and what to do; the end of each error.
    """

    def __init__(self, name: str, needs: str) -> None:
        super().__init__(name)
        self.__path__ = []  # has submodules, which the finder below makes as well
        self._needs = needs

    def __getattr__(self, name: str) -> Any:
        if name.startswith('__'):
            raise AttributeError(name)
        if name.startswith('is_'):
            return lambda *args, **kwargs: False  # asks whether a still further package is there
        # getattr would ask the metaclass, which knows no other names than these two.
        space = dict(_sentence=f'{self.__name__}.{name} {self._needs}', __module__=self.__name__)
        return _Unavailable(name, (), space)

    def __dir__(self) -> list[str]:
        return []


class Deferred(ModuleType):
    """A module of functions that is imported when one of them is called."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith('__'):
            raise AttributeError(name)
        return lambda *args, **kwargs: getattr(import_module(self.__name__), name)(*args, **kwargs)


class _Finder(MetaPathFinder, Loader):
    def __init__(self, needs: Mapping[str, str], deferred: Sequence[str]) -> None:
        self.needs = needs
        self.deferred = deferred

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        ours = fullname in self.deferred or _owner(fullname, self.needs)
        return ModuleSpec(fullname, self, is_package=True) if ours else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        if spec.name in self.deferred:
            return Deferred(spec.name)
        return Placeholder(spec.name, self.needs[_owner(spec.name, self.needs)])

    def exec_module(self, module: ModuleType) -> None:
        pass


@contextmanager
def standing_in(needs: Mapping[str, str], deferred: Sequence[str] = ()) -> Iterator[None]:
    """Answer imports of some packages with placeholders; then put back what was there before.

    Args:
        needs: Module -> what to say when something of it is used, such as 'needs
            pandas: pip install pandas'.
        deferred: Modules that are slow to import, and whose functions are called later only.
    """
    deferred = [name for name in deferred if name not in sys.modules]
    before = {name: sys.modules.pop(name) for name in list(sys.modules) if _owner(name, needs)}
    finder = _Finder(needs, deferred)
    sys.meta_path.insert(0, finder)
    outer, _Unavailable.importing = _Unavailable.importing, True
    try:
        yield
    finally:
        _Unavailable.importing = outer
        sys.meta_path.remove(finder)
        for name in [n for n in sys.modules if n in deferred or _owner(n, needs)]:
            del sys.modules[name]
            parent, _, last = name.rpartition('.')
            vars(sys.modules.get(parent, sys)).pop(last, None)
        sys.modules.update(before)


def _owner(module: str, names: Iterable[str]) -> str:
    """Which of the names the module is or belongs to; '' if none."""
    return next((name for name in names if f'{module}.'.startswith(f'{name}.')), '')
