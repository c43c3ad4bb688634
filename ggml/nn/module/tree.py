"""What an owner and those below it own, by full name. What is owned twice comes once, unless both names are wanted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ggml.core.errors import ModuleError
from ggml.nn.module.owner import BUFFER, MODULE, PARAMETER, Child, Kind, Owner, owned
from ggml.nn.parameter import Parameter
from ggml.tensors.tensor import Tensor


class Tree(Owner[Child]):
    """An owner that is asked for everything below it, under PyTorch's names. Full names are joined with dots."""

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Every parameter with its full name; one that is owned twice comes once."""
        return _tensors(self, PARAMETER, prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """Every parameter."""
        return (param for _, param in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """Every buffer with its full name."""
        return _tensors(self, BUFFER, prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """Every buffer."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def named_children(self) -> Iterator[tuple[str, Child]]:
        """The modules directly below, each once."""
        seen: set[int] = set()
        for name, child in owned(self, MODULE):
            if id(child) not in seen:
                seen.add(id(child))
                yield name, child

    def children(self) -> Iterator[Child]:
        """The modules directly below, each once."""
        return (module for _, module in self.named_children())

    def named_modules(
        self, memo: set[int] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Child]]:
        """This module and all below it, with full names."""
        return _walk(self, set() if memo is None else memo, prefix, remove_duplicate)

    def modules(self) -> Iterator[Child]:
        """This module and all below it."""
        return (module for _, module in self.named_modules())

    def get_submodule(self, target: str) -> Child:
        """The module of a full name such as ``layers.0.norm``, or ModuleError."""
        found: Child = _submodule(self, target)
        return found

    def get_parameter(self, target: str) -> Parameter:
        """The parameter of a full name, or ModuleError."""
        found: Parameter = _tensor(self, target, PARAMETER)
        return found

    def get_buffer(self, target: str) -> Tensor:
        """The buffer of a full name, or ModuleError."""
        found: Tensor = _tensor(self, target, BUFFER)
        return found


def _walk(tree: Any, seen: set[int], prefix: str, once: bool) -> Iterator[tuple[str, Any]]:
    """The tree itself, then those below it."""
    if id(tree) in seen:
        return
    if once:
        seen.add(id(tree))
    yield prefix, tree
    for name, child in owned(tree, MODULE):
        yield from _walk(child, seen, _joined(prefix, name), once)


def _tensors(tree: Owner[Any], kind: Kind, prefix: str, recurse: bool, once: bool) -> Iterator[tuple[str, Any]]:
    """Parameters or buffers, owner by owner."""
    seen: set[int] = set()
    owners = _walk(tree, set(), prefix, once) if recurse else iter([(prefix, tree)])
    for path, owner in owners:
        for name, tensor in owned(owner, kind):
            if id(tensor) in seen:
                continue
            if once:
                seen.add(id(tensor))
            yield _joined(path, name), tensor


def _submodule(tree: Owner[Any], target: str) -> Any:
    """The owner of a full name; the empty one is the tree itself."""
    found = tree
    for name in target.split(".") if target else ():
        below = dict(owned(found, MODULE)).get(name)
        if below is None:
            raise ModuleError(f"{type(tree).__name__}: there is no module {target!r}")
        found = below
    return found


def _tensor(tree: Owner[Any], target: str, kind: Kind) -> Any:
    """The parameter or buffer of a full name."""
    path, _, name = target.rpartition(".")
    found = dict(owned(_submodule(tree, path), kind)).get(name)
    if found is None:
        raise ModuleError(f"{type(tree).__name__}: there is no {kind.what} {target!r}")
    return found


def _joined(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name
