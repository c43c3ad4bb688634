"""Modules that hold modules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self, overload

from ggml.core.errors import ArgumentError, DTypeError, IndexOutOfRangeError
from ggml.nn.module.module import Module
from ggml.nn.module.printing import indented

__all__ = ["ModuleDict", "ModuleList", "Sequential"]


def _place(owner: Module, index: int, count: int) -> int:
    """``index`` counted from the front."""
    if isinstance(index, bool) or not hasattr(index, "__index__"):
        raise DTypeError(type(owner).__name__, "an integer or a slice as index", type(index).__name__)
    place = index.__index__()
    if not -count <= place < count:
        raise IndexOutOfRangeError(type(owner).__name__, f"index {place} is outside of {count} modules")
    return place % count


class _Row(Module):
    """Modules by number. The names are the numbers, without gaps."""

    def _fill(self, modules: Iterable[Module]) -> None:
        """Own these modules, in this order, and nothing else."""
        listed = _need_modules(self, modules)
        for name in list(self._modules):
            delattr(self, name)
        for number, module in enumerate(listed):
            self.add_module(str(number), module)

    def _listed(self) -> list[Any]:
        return list(self._modules.values())

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._listed())

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if not name.isdigit()]

    def __setitem__(self, idx: int, module: Module) -> None:
        names = list(self._modules)
        setattr(self, names[_place(self, idx, len(names))], module)

    def __delitem__(self, idx: int | slice) -> None:
        kept = self._listed()
        if not isinstance(idx, slice):
            idx = _place(self, idx, len(kept))
        del kept[idx]
        self._fill(kept)

    def insert(self, index: int, module: Module) -> Any:
        """Put a module before the one at ``index``; those after it move up."""
        changed = self._listed()
        if not -len(changed) <= index <= len(changed):
            raise IndexOutOfRangeError(type(self).__name__, f"index {index} is outside of {len(changed)} modules")
        changed.insert(index, module)
        self._fill(changed)
        return self

    def append(self, module: Module) -> Self:
        """Add a module at the end."""
        _need_modules(self, [module])
        self.add_module(str(len(self)), module)
        return self

    def extend(self, modules: Iterable[Module]) -> Self:
        """Add modules at the end."""
        listed = _need_modules(self, modules)
        for module in listed:
            self.append(module)
        return self

    def __iadd__(self, other: Iterable[Module]) -> Self:
        return self.extend(other)

    def pop(self, key: int | slice) -> Any:
        """Take a module out and return it."""
        found = self[key]  # type: ignore[index]
        del self[key]
        return found


def _need_modules(owner: Module, modules: Iterable[Module]) -> list[Module]:
    if not isinstance(modules, Iterable):
        raise DTypeError(type(owner).__name__, "modules in a sequence", type(modules).__name__)
    listed = list(modules)
    for module in listed:
        if not isinstance(module, Module):
            raise DTypeError(type(owner).__name__, "a module", type(module).__name__)
    return listed


class Sequential(_Row):
    """Modules one after the other: ``Sequential(a, b)``, or a dict of them by name."""

    def __init__(self, *args: Any) -> None:
        super().__init__()
        named = args[0].items() if len(args) == 1 and isinstance(args[0], Mapping) else enumerate(args)
        for name, module in named:
            _need_modules(self, [module])
            self.add_module(str(name), module)

    @overload
    def __getitem__(self, idx: int) -> Any: ...
    @overload
    def __getitem__(self, idx: slice) -> Sequential: ...
    def __getitem__(self, idx: int | slice) -> Any:
        items = list(self._modules.items())
        if isinstance(idx, slice):
            return type(self)(dict(items[idx]))
        return items[_place(self, idx, len(items))][1]

    def __delitem__(self, idx: int | slice) -> None:
        names = list(self._modules)
        for name in names[idx] if isinstance(idx, slice) else [names[_place(self, idx, len(names))]]:
            delattr(self, name)
        # As PyTorch, which numbers what is left.
        self._fill(self._listed())

    def __add__(self, other: Sequential) -> Sequential:
        if not isinstance(other, Sequential):
            raise DTypeError("Sequential", "a Sequential on both sides", type(other).__name__)
        return Sequential(*self, *other)

    def forward(self, input: Any) -> Any:
        """Through one module after the other."""
        for module in self._modules.values():
            assert module is not None
            input = module(input)
        return input


class ModuleList(_Row):
    """Modules by number; what is done with them is the owner's forward."""

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        if modules is not None:
            self.extend(modules)

    @overload
    def __getitem__(self, idx: int) -> Any: ...
    @overload
    def __getitem__(self, idx: slice) -> ModuleList: ...
    def __getitem__(self, idx: int | slice) -> Any:
        listed = self._listed()
        if isinstance(idx, slice):
            return type(self)(listed[idx])
        return listed[_place(self, idx, len(listed))]

    def __add__(self, other: Iterable[Module]) -> ModuleList:
        return ModuleList([*self, *_need_modules(self, other)])

    def __repr__(self) -> str:
        """Equal neighbours are shown once, with their number."""
        groups: list[tuple[int, int, str]] = []
        for place, module in enumerate(self):
            text = repr(module)
            if groups and groups[-1][2] == text:
                groups[-1] = (groups[-1][0], place, text)
            else:
                groups.append((place, place, text))
        if not groups:
            return f"{self._get_name()}()"
        lines = [
            f"({first}): {text}" if first == last else f"({first}-{last}): {last - first + 1} x {text}"
            for first, last, text in groups
        ]
        return f"{self._get_name()}(\n  " + "\n  ".join(indented(line) for line in lines) + "\n)"


class ModuleDict(Module):
    """Modules by name, in the order in which they were added."""

    def __init__(self, modules: Any = None) -> None:
        super().__init__()
        if modules is not None:
            self.update(modules)

    def __getitem__(self, key: str) -> Any:
        if key not in self._modules:
            raise ArgumentError("ModuleDict", repr(key), f"is none of {list(self._modules)}")
        return self._modules[key]

    def __setitem__(self, key: str, module: Module) -> None:
        _need_modules(self, [module])
        self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        self[key]
        delattr(self, key)

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, key: object) -> bool:
        return key in self._modules

    def clear(self) -> None:
        """Let go of every module."""
        for name in list(self._modules):
            delattr(self, name)

    def pop(self, key: str) -> Any:
        """Take a module out and return it."""
        found = self[key]
        del self[key]
        return found

    def keys(self) -> Any:
        """The names."""
        return self._modules.keys()

    def values(self) -> Any:
        """The modules."""
        return self._modules.values()

    def items(self) -> Any:
        """Names and modules."""
        return self._modules.items()

    def update(self, modules: Any) -> None:
        """Add or replace modules: from a mapping, or from pairs of name and module."""
        if not isinstance(modules, (Mapping, ModuleDict)) and not isinstance(modules, Iterable):
            raise DTypeError("ModuleDict", "a mapping or pairs", type(modules).__name__)
        pairs = modules.items() if isinstance(modules, (Mapping, ModuleDict)) else modules
        for pair in pairs:
            if not isinstance(pair, (tuple, list)) or len(pair) != 2:
                raise ArgumentError("ModuleDict", "modules", "must be pairs of name and module")
            self[pair[0]] = pair[1]
