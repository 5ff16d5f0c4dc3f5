"""Placeholders for packages that MMagic imports for models that are not used here.

``import mmagic.models`` fails without diffusers, transformers and others, and with versions other
than those of 2023. While MMagic is imported, :func:`standing_in` answers for each of them that is
missing or does not fit. Afterwards it steps out again: a program's own ``import transformers``
finds what is installed. MMagic's models of such a package then say what they need when they are
built.
"""

import sys
from abc import ABCMeta
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.metadata import version
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


class Later:
    """Something of a module that is imported when it is called, inherited from or looked into."""

    def __init__(self, load: Callable[[], Any]) -> None:
        self._load = cache(load)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if _Unavailable.importing:  # a constant of a module
            return Later(lambda: self._load()(*args, **kwargs))
        return self._load()(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith('__'):
            raise AttributeError(name)
        if _Unavailable.importing:
            return Later(lambda: getattr(self._load(), name))
        return getattr(self._load(), name)

    def __mro_entries__(self, bases: tuple) -> tuple[type]:
        return (self._load(),)

    def __instancecheck__(self, instance: Any) -> bool:
        return isinstance(instance, self._load())

    def __subclasscheck__(self, subclass: type) -> bool:
        return issubclass(subclass, self._load())


class Deferred(ModuleType):
    """A module that is imported when something of it is used."""

    def __getattr__(self, name: str) -> Any:
        if name == '__version__':
            return version(self.__name__.partition('.')[0].replace('_', '-'))
        if name.startswith('__'):
            raise AttributeError(name)
        return Later(lambda: getattr(import_module(self.__name__), name))


class _Finder(MetaPathFinder, Loader):
    def __init__(self, needs: Mapping[str, str], deferred: Sequence[str]) -> None:
        self.needs = needs
        self.deferred = deferred

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        ours = _owner(fullname, self.needs) or _owner(fullname, self.deferred)
        return ModuleSpec(fullname, self, is_package=True) if ours else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        missing = _owner(spec.name, self.needs)
        return Placeholder(spec.name, self.needs[missing]) if missing else Deferred(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        module.__path__ = []  # has submodules, which are ours as well


@contextmanager
def standing_in(needs: Mapping[str, str], deferred: Sequence[str] = ()) -> Iterator[None]:
    """Answer imports of some packages with placeholders; then put back what was there before.

    Args:
        needs: Module -> what to say when something of it is used, such as 'needs
            pandas: pip install pandas'.
        deferred: Modules that are slow to import, and of which nothing is used until later.
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
        for name in [n for n in sys.modules if _owner(n, (*deferred, *needs))]:
            del sys.modules[name]
            parent, _, last = name.rpartition('.')
            vars(sys.modules.get(parent, sys)).pop(last, None)
        sys.modules.update(before)


def _owner(module: str, names: Iterable[str]) -> str:
    """Which of the names the module is or belongs to; '' if none."""
    return next((name for name in names if f'{module}.'.startswith(f'{name}.')), '')
