"""The base of every layer: what it owns, by name, and how it is called."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self

from ggml.core import dtypes, tracing
from ggml.core.devices import Device
from ggml.core.dtypes import DType
from ggml.core.errors import ArgumentError, DTypeError, ModuleError, UnsupportedOpError
from ggml.io.reading import load
from ggml.io.writing import save
from ggml.nn.module import hooks, printing, state, to_device, traversal
from ggml.nn.module.hooks import Hook, Hooks, RemovableHandle
from ggml.nn.module.state import IncompatibleKeys
from ggml.nn.parameter import Buffer, Parameter, point_to
from ggml.tensors.tensor import Tensor

__all__ = ["Module"]

_KINDS = ("_parameters", "_buffers", "_modules")


def _no_forward(self: Module, *input: Any, **kwargs: Any) -> Any:
    """What the module computes; every subclass has its own."""
    raise ModuleError(f"{type(self).__name__}: the class defines no forward")


class Module:
    """As ``torch.nn.Module``. Parameters, buffers and modules are registered when they are assigned.

    ``ggml.compile(module)`` reads parameters and buffers where they lie. A change of one of them, of a submodule,
    of a hook or of ``training`` makes it record anew; other attributes are read when it records.
    """

    training: bool
    forward: Callable[..., Any] = _no_forward

    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _modules: dict[str, Module | None]
    _non_persistent_buffers_set: set[str]
    _forward_hooks: Hooks
    _forward_pre_hooks: Hooks

    def __init__(self) -> None:
        owned: dict[str, Any] = {
            "training": True,
            "_parameters": {},
            "_buffers": {},
            "_non_persistent_buffers_set": set(),
            "_modules": {},
            "_forward_hooks": OrderedDict(),
            "_forward_pre_hooks": OrderedDict(),
        }
        self.__dict__.update(owned)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._forward_hooks or self._forward_pre_hooks:
            return hooks.call(self, args, kwargs)
        return self.forward(*args, **kwargs)

    # Attributes

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, Parameter):
            self._enter(name, value, "_parameters", "parameter")
        elif isinstance(value, Module):
            self._enter(name, value, "_modules", "module")
        elif isinstance(value, Buffer):
            self._enter(name, value, "_buffers", "buffer", value.persistent)
        elif name in self.__dict__.get("_buffers", ()):
            _need(name, value, Tensor, "buffer")
            self._enter(name, value, "_buffers", "buffer")
        elif name in self.__dict__.get("_parameters", ()):
            _need(name, value, Parameter, "parameter")
            self._enter(name, value, "_parameters", "parameter")
        elif name in self.__dict__.get("_modules", ()):
            _need(name, value, Module, "module")
            self._enter(name, value, "_modules", "module")
        else:
            if name == "training" and self.__dict__.get("training") is not value:
                tracing.note_change()
            object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:
        for kind in _KINDS:
            owned = self.__dict__.get(kind)
            if owned is not None and name in owned:
                return owned[name]
        raise ModuleError(f"{type(self).__name__!r} object has no attribute {name!r}", name)

    def __delattr__(self, name: str) -> None:
        for kind in _KINDS:
            if name in self.__dict__.get(kind, ()):
                del self.__dict__[kind][name]
                self._non_persistent_buffers_set.discard(name)
                tracing.note_change()
                return
        object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        names = {*super().__dir__(), *self._parameters, *self._buffers, *self._modules}
        return sorted(name for name in names if not name[0].isdigit())

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Own a parameter, or keep its name free with None."""
        self._check_free(name, "_parameters", "parameter")
        _need(name, param, Parameter, "parameter")
        self._enter(name, param, "_parameters", "parameter")

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Own a tensor that is no parameter; only a persistent one is in the state dict."""
        self._check_free(name, "_buffers", "buffer")
        _need(name, tensor, Tensor, "buffer")
        self._enter(name, tensor, "_buffers", "buffer", persistent)

    def register_module(self, name: str, module: Module | None) -> None:
        """As ``add_module``."""
        self._check_free(name, "_modules", "module")
        _need(name, module, Module, "module")
        self._enter(name, module, "_modules", "module")

    def add_module(self, name: str, module: Module | None) -> None:
        """Own a module under a name, which need not be an identifier."""
        self.register_module(name, module)

    def _check_free(self, name: str, kind: str, what: str) -> None:
        owned = self.__dict__.get(kind, {})
        if isinstance(name, str) and name not in owned and hasattr(self, name):
            raise ArgumentError(type(self).__name__, repr(name), f"is an attribute already, and names no {what}")

    def _enter(self, name: str, value: Any, kind: str, what: str, persistent: bool | None = None) -> None:
        """Own ``value``, in place of whatever has the name."""
        owner = type(self).__name__
        if kind not in self.__dict__:
            raise ModuleError(f"{owner}: call Module.__init__() before a {what} is assigned")
        if not isinstance(name, str):
            raise DTypeError(owner, f"a string as the {what}'s name", type(name).__name__)
        if not name or "." in name:
            raise ArgumentError(owner, repr(name), f"cannot name a {what}: it is empty or has a dot")
        self._note_change(name, value)
        for other in _KINDS:
            if other != kind:
                self.__dict__[other].pop(name, None)
        self.__dict__.pop(name, None)
        self.__dict__[kind][name] = value
        if persistent is not None or kind != "_buffers":
            apart = self._non_persistent_buffers_set
            apart.add(name) if persistent is False else apart.discard(name)

    def _note_change(self, name: str, value: Any) -> None:
        """Compiled functions may hold what has the name now."""
        for kind in _KINDS:
            found = self.__dict__[kind]
            if name in found and found[name] is not value:
                if kind != "_modules":
                    traversal.refuse_while_traced(f"{type(self).__name__}.{name}")
                tracing.note_change()

    # What it owns

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Every parameter with its full name; one that is owned twice comes once."""
        return traversal.named_tensors(self, "_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """Every parameter."""
        return (param for _, param in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """Every buffer with its full name."""
        return traversal.named_tensors(self, "_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """Every buffer."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules directly below, each once."""
        return traversal.named_children(self)

    def children(self) -> Iterator[Module]:
        """The modules directly below, each once."""
        return (module for _, module in self.named_children())

    def named_modules(
        self, memo: set[int] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """This module and all below it, with full names."""
        return traversal.named_modules(self, set() if memo is None else memo, prefix, remove_duplicate)

    def modules(self) -> Iterator[Module]:
        """This module and all below it."""
        return (module for _, module in self.named_modules())

    def get_submodule(self, target: str) -> Module:
        """The module of a full name such as ``layers.0.norm``, or ModuleError."""
        return traversal.submodule(self, target)

    def get_parameter(self, target: str) -> Parameter:
        """The parameter of a full name, or ModuleError."""
        found: Parameter = traversal.owned(self, target, "_parameters", "parameter")
        return found

    def get_buffer(self, target: str) -> Tensor:
        """The buffer of a full name, or ModuleError."""
        found: Tensor = traversal.owned(self, target, "_buffers", "buffer")
        return found

    # Its state

    def state_dict(
        self, *, destination: dict[str, Any] | None = None, prefix: str = "", keep_vars: bool = False
    ) -> dict[str, Any]:
        """Parameters and persistent buffers by full name, in PyTorch's order."""
        return state.collect(self, OrderedDict() if destination is None else destination, prefix, keep_vars)

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> IncompatibleKeys:
        """Take the values of ``state_dict``: tensors of ggml or of any library with DLPack, or arrays.

        Values are copied into the dtype and the place of each parameter; with ``assign=True`` the parameters
        take over the given tensors with their dtype and memory. All or nothing: StateDictError names every key that
        is missing or unexpected (where ``strict``) or does not fit, and leaves the module as it was.
        """
        return state.load(self, state_dict, strict, assign)

    def save_gguf(self, path: Any) -> None:
        """Write the state dict as a GGUF file; see ``ggml.save``."""
        save(self.state_dict(), path)

    def load_gguf(self, path: Any, strict: bool = True, assign: bool = True) -> IncompatibleKeys:
        """Take the values of a GGUF file, as ``load_state_dict``.

        By default the parameters lie in the mapped file, with its dtypes (quantised ones included), unless they were
        on another device, where they stay. With ``assign=False`` they are copied and keep their dtypes.
        """
        found = load(path)
        for name, handle in self.state_dict(keep_vars=True).items():
            if assign and name in found and isinstance(handle, Tensor):
                found[name] = found[name].to_device(handle.device)
        return self.load_state_dict(found, strict, assign)

    # Where and how it computes

    def _apply(self, function: Callable[[Tensor], Tensor]) -> Self:
        """Replace each parameter's and buffer's value. The handles stay, so what is tied stays tied."""
        traversal.refuse_while_traced(type(self).__name__)
        handles = [param for _, param in self.named_parameters()]
        for handle in (*handles, *[buffer for _, buffer in self.named_buffers()]):
            changed = function(handle)
            changed.buffer()
            point_to(handle, changed)
        return self

    def apply(self, fn: Callable[[Module], Any]) -> Self:
        """Call ``fn`` with every module, children first."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """``to(device)``, ``to(dtype)``, ``to(tensor)``: dtypes change floating parameters and buffers only."""
        return self._apply(to_device.converter(args, kwargs))

    def cpu(self) -> Self:
        """Move everything to the CPU."""
        return self.to("cpu")

    def cuda(self, device: int | str | Device | None = None) -> Self:
        """Move everything to a GPU, or ArgumentError."""
        return self.to(to_device.cuda_device(device))

    def float(self) -> Self:
        """Floating parameters and buffers as float32."""
        return self.to(dtypes.float32)

    def half(self) -> Self:
        """Floating parameters and buffers as float16."""
        return self.to(dtypes.float16)

    def bfloat16(self) -> Self:
        """Floating parameters and buffers as bfloat16."""
        return self.to(dtypes.bfloat16)

    def double(self) -> Self:
        """UnsupportedOpError: there is no float64."""
        raise UnsupportedOpError("Module.double", "ggml", dtypes.instead_of("float64"))

    def type(self, dst_type: DType) -> Self:
        """Every parameter and buffer as ``dst_type``."""
        return self._apply(lambda tensor: tensor.to(dst_type))

    def train(self, mode: bool = True) -> Self:
        """Training or evaluation, for this module and all below it."""
        if not isinstance(mode, bool):
            raise DTypeError("train", "a bool as mode", type(mode).__name__)
        self.training = mode
        for module in self.children():
            module.train(mode)
        return self

    def eval(self) -> Self:
        """Evaluation: dropout passes on, batch normalisation uses its running statistics."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Say for every parameter whether training may change it."""
        for param in self.parameters():
            param.requires_grad_(requires_grad)
        return self

    # Hooks

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """``hook(module, args)`` before forward; what it returns, unless None, replaces the arguments."""
        return hooks.register(self._forward_pre_hooks, Hook(hook, with_kwargs), prepend)

    def register_forward_hook(
        self,
        hook: Callable[..., Any],
        *,
        prepend: bool = False,
        with_kwargs: bool = False,
        always_call: bool = False,
    ) -> RemovableHandle:
        """``hook(module, args, output)`` after forward; what it returns, unless None, replaces the output."""
        return hooks.register(self._forward_hooks, Hook(hook, with_kwargs, always_call), prepend)

    # Text

    def _get_name(self) -> str:
        return type(self).__name__

    def extra_repr(self) -> str:
        """What a subclass shows of itself between the brackets."""
        return ""

    def __repr__(self) -> str:
        return printing.text(self)


def _need(name: str, value: Any, kind: Any, what: str) -> None:
    if value is not None and not isinstance(value, kind):
        raise DTypeError(
            name, f"a {kind.__module__.split('.')[0]} {kind.__name__} or None as {what}", type(value).__name__
        )
