"""The state dict of a module, and loading one: everything is checked and made before anything is replaced."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ggml.core import tracing
from ggml.core.errors import DTypeError, GgmlError, StateDictError
from ggml.nn.module.owner import BUFFER, MODULE, PARAMETER, Owner, is_persistent, names, owned
from ggml.nn.module.torch_interop import as_stored, as_tensor
from ggml.nn.parameter import Parameter, point_to
from ggml.tensors.tensor import Tensor

_EXTRA = "_extra_state"


class IncompatibleKeys(NamedTuple):
    """Keys that a load did not find, and keys that nothing took."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"IncompatibleKeys(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"


def _own(module: Owner[Any]) -> dict[str, Tensor]:
    """The module's own parameters and persistent buffers."""
    named: dict[str, Tensor] = dict(owned(module, PARAMETER))
    return named | {name: buffer for name, buffer in owned(module, BUFFER) if is_persistent(module, name)}


def _has_extra(module: Owner[Any]) -> bool:
    return hasattr(type(module), "get_extra_state")


def collect(module: Owner[Any], target: dict[str, Any], prefix: str, keep_vars: bool) -> None:
    """Put the module's own tensors into ``target``, and its extra state if it has one."""
    for name, tensor in _own(module).items():
        target[prefix + name] = tensor if keep_vars else tensor.detach()
    if _has_extra(module):
        target[prefix + _EXTRA] = module.get_extra_state()


def _is_weight(tensor: Tensor) -> bool:
    return tensor.dtype.is_floating_point or tensor.dtype.is_quantized


class _Load:
    """One load: what it found wrong, and the values to take over if nothing is."""

    def __init__(self, state: Mapping[str, Any], assign: bool) -> None:
        self.state, self.assign = state, assign
        self.missing: list[str] = []
        self.unexpected: list[str] = []
        self.errors: list[str] = []
        self.values: list[tuple[Tensor, Tensor]] = []
        self.extras: list[tuple[Any, Any]] = []

    def walk(self, module: Owner[Any], prefix: str) -> None:
        own, below = _own(module), dict(owned(module, MODULE))
        for name, tensor in own.items():
            self._take(prefix + name, tensor)
        has_extra = _has_extra(module)
        if has_extra and prefix + _EXTRA in self.state:
            self.extras.append((module, self.state[prefix + _EXTRA]))
        elif has_extra:
            self.missing.append(prefix + _EXTRA)
        for key in self.state:
            if key.startswith(prefix):
                first, _, rest = key[len(prefix) :].partition(".")
                is_own = first in own or (has_extra and first == _EXTRA)
                if not (first in names(module, MODULE) if rest else is_own):
                    self.unexpected.append(key)
        for name, child in below.items():
            self.walk(child, f"{prefix}{name}.")

    def _take(self, key: str, tensor: Tensor) -> None:
        if key not in self.state:
            self.missing.append(key)
            return
        try:
            self.values.append((tensor, self._fitting(tensor, self.state[key])))
        except (GgmlError, BufferError, RuntimeError, TypeError, ValueError, MemoryError) as error:
            self.errors.append(f"{key}: {error}")

    def _fitting(self, tensor: Tensor, value: Any) -> Tensor:
        given = as_tensor(value, tensor)
        if tensor.ndim == 0 and tuple(given.shape) == (1,):
            given = given.reshape(())
        if given.shape != tensor.shape:
            raise DTypeError(
                "size mismatch", f"{tuple(tensor.shape)}, as in the module", f"{tuple(given.shape)} in the state dict"
            )
        if self.assign:
            if isinstance(tensor, Parameter) and tensor.requires_grad and not _is_weight(given):
                raise DTypeError("assign", "floating or quantised values", given.dtype)
            given.buffer()
            return given
        return as_stored(given, tensor.dtype, tensor.device)


def load(module: Owner[Any], state: Mapping[str, Any], strict: bool, assign: bool) -> IncompatibleKeys:
    """See ``Module.load_state_dict``."""
    if not isinstance(state, Mapping) or any(not isinstance(key, str) for key in state):
        raise DTypeError("load_state_dict", "a mapping from names to tensors", type(state).__name__)
    tracing.refuse("load_state_dict")
    found = _Load(state, assign)
    found.walk(module, "")
    if found.errors or (strict and (found.missing or found.unexpected)):
        raise StateDictError(type(module).__name__, found.missing, found.unexpected, found.errors, strict)
    before = [(handle, handle.detach()) for handle, _ in found.values]
    for handle, value in found.values:
        point_to(handle, value)
    try:
        for owner, extra in found.extras:
            owner.set_extra_state(extra)
    except BaseException:
        for handle, value in before:
            point_to(handle, value)
        raise
    return IncompatibleKeys(found.missing, found.unexpected)
