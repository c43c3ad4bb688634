"""Functions that are called before and after a module's forward."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ggml.core import tracing
from ggml.core.errors import DTypeError

_numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class Hook:
    """``with_kwargs``: it also gets the keyword arguments; ``always_call``: also after an exception."""

    function: Callable[..., Any]
    with_kwargs: bool
    always_call: bool = False


Hooks = OrderedDict[int, Hook]


class RemovableHandle:
    """Removes one hook: by ``remove()``, or at the end of a ``with`` block."""

    def __init__(self, hooks: Hooks) -> None:
        self.id = next(_numbers)
        self._hooks = hooks

    def remove(self) -> None:
        """Take the hook away; a second time does nothing."""
        if self._hooks.pop(self.id, None) is not None:
            tracing.note_change()

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exception: object) -> None:
        self.remove()


def register(hooks: Hooks, hook: Hook, prepend: bool) -> RemovableHandle:
    """Add a hook, first or last. Functions that were compiled before record anew."""
    if not callable(hook.function):
        raise DTypeError("register_hook", "a function as hook", type(hook.function).__name__)
    handle = RemovableHandle(hooks)
    hooks[handle.id] = hook
    if prepend:
        hooks.move_to_end(handle.id, last=False)
    tracing.note_change()
    return handle


def call(
    module: object,
    before: Hooks,
    forward: Callable[..., Any],
    after: Hooks,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    """Forward between its hooks. What a hook returns, unless None, replaces the arguments or the result."""
    called: set[int] = set()
    result = None
    try:
        for hook in tuple(before.values()):
            args, kwargs = _before(module, hook, args, kwargs)
        result = forward(*args, **kwargs)
        for number, hook in tuple(after.items()):
            called.add(number)
            changed = _after(module, hook, args, kwargs, result)
            result = result if changed is None else changed
    except Exception:
        for number, hook in tuple(after.items()):
            if hook.always_call and number not in called:
                _after(module, hook, args, kwargs, result)
        raise
    return result


def _before(module: object, hook: Hook, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    if hook.with_kwargs:
        changed = hook.function(module, args, kwargs)
        if changed is None:
            return args, kwargs
        if not isinstance(changed, tuple) or len(changed) != 2:
            raise DTypeError("forward_pre_hook", "None or a tuple of args and kwargs", type(changed).__name__)
        return changed
    changed = hook.function(module, args)
    if changed is None:
        return args, kwargs
    return changed if isinstance(changed, tuple) else (changed,), kwargs


def _after(module: object, hook: Hook, args: Any, kwargs: dict[str, Any], result: Any) -> Any:
    if hook.with_kwargs:
        return hook.function(module, args, kwargs, result)
    return hook.function(module, args, result)
