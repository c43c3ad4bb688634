"""What a module owns, by full name. An object that is owned twice comes once, unless both names are wanted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ggml.core import tracing
from ggml.core.errors import ModuleError, TracingError

if TYPE_CHECKING:
    from ggml.nn.module.module import Module


def named_modules(module: Module, seen: set[int], prefix: str, once: bool) -> Iterator[tuple[str, Module]]:
    """The module, then those below it."""
    if id(module) in seen:
        return
    if once:
        seen.add(id(module))
    yield prefix, module
    for name, child in module._modules.items():
        if child is not None:
            yield from named_modules(child, seen, _joined(prefix, name), once)


def named_children(module: Module) -> Iterator[tuple[str, Module]]:
    """The modules directly below, each once."""
    seen: set[int] = set()
    for name, child in module._modules.items():
        if child is not None and id(child) not in seen:
            seen.add(id(child))
            yield name, child


def named_tensors(module: Module, kind: str, prefix: str, recurse: bool, once: bool) -> Iterator[tuple[str, Any]]:
    """Parameters or buffers, module by module."""
    seen: set[int] = set()
    owners = named_modules(module, set(), prefix, once) if recurse else iter([(prefix, module)])
    for path, owner in owners:
        for name, tensor in owner.__dict__[kind].items():
            if tensor is None or id(tensor) in seen:
                continue
            if once:
                seen.add(id(tensor))
            yield _joined(path, name), tensor


def submodule(module: Module, target: str) -> Module:
    """The module of a full name; the empty one is the module itself."""
    found = module
    for name in target.split(".") if target else ():
        below = found._modules.get(name)
        if below is None:
            raise ModuleError(f"{type(module).__name__}: there is no module {target!r}")
        found = below
    return found


def owned(module: Module, target: str, kind: str, what: str) -> Any:
    """The parameter or buffer of a full name."""
    path, _, name = target.rpartition(".")
    found = submodule(module, path).__dict__[kind].get(name)
    if found is None:
        raise ModuleError(f"{type(module).__name__}: there is no {what} {target!r}")
    return found


def refuse_while_traced(what: str) -> None:
    """A module that kept a value of a recording would hold something that never gets memory."""
    if tracing.is_active():
        raise TracingError(what)


def _joined(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name
