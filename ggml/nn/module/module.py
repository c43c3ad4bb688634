"""The base of every layer: a tree of what it owns that is called, saved, moved and shown."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Self

from ggml.core import dtypes, tracing
from ggml.core.devices import Device
from ggml.core.dtypes import DType
from ggml.core.errors import DTypeError, ModuleError, UnsupportedOpError
from ggml.io.reading import load
from ggml.io.writing import save
from ggml.nn.module import hooks, printing, state, to_device
from ggml.nn.module.hooks import Hook, Hooks, RemovableHandle
from ggml.nn.module.owner import MODULE, owned
from ggml.nn.module.state import IncompatibleKeys
from ggml.nn.module.tree import Tree
from ggml.nn.parameter import point_to
from ggml.ops.create.factories import zeros_like
from ggml.tensors.tensor import Tensor

__all__ = ["Module"]


def _no_forward(self: Module, *input: Any, **kwargs: Any) -> Any:
    """What the module computes; every subclass has its own."""
    raise ModuleError(f"{type(self).__name__}: the class defines no forward")


class Module(Tree["Module"]):
    """As ``torch.nn.Module``. Parameters, buffers and modules are registered when they are assigned.

    ``ggml.compile(module)`` reads parameters and buffers where they lie. A change of one of them, of a submodule,
    of a hook or of ``training`` makes it record anew; other attributes are read when it records.
    """

    training: bool
    forward: Callable[..., Any] = _no_forward

    _forward_hooks: Hooks
    _forward_pre_hooks: Hooks

    def __init__(self) -> None:
        self.__dict__["training"] = True
        super().__init__()
        self.__dict__.update(_forward_hooks=OrderedDict(), _forward_pre_hooks=OrderedDict())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._forward_hooks or self._forward_pre_hooks:

            def forward(*args: Any, **kwargs: Any) -> Any:
                return self.forward(*args, **kwargs)  # looked up late: a hook may replace it

            return hooks.call(self, self._forward_pre_hooks, forward, self._forward_hooks, args, kwargs)
        return self.forward(*args, **kwargs)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "training" and self.__dict__.get("training") is not value:
            tracing.note_mode()
        super().__setattr__(name, value)

    # Its state

    def state_dict(
        self, *, destination: dict[str, Any] | None = None, prefix: str = "", keep_vars: bool = False
    ) -> dict[str, Any]:
        """Parameters and persistent buffers by full name, in PyTorch's order."""
        target = OrderedDict() if destination is None else destination
        state.collect(self, target, prefix, keep_vars)
        for name, child in owned(self, MODULE):
            child.state_dict(destination=target, prefix=f"{prefix}{name}.", keep_vars=keep_vars)
        return target

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
        tracing.refuse(type(self).__name__)
        handles = [param for _, param in self.named_parameters()]
        for handle in (*handles, *[buffer for _, buffer in self.named_buffers()]):
            changed = function(handle.detach())
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

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Let go of the gradient of every parameter, or fill it with zeros."""
        for param in self.parameters():
            if param.grad is not None:
                param.grad = None if set_to_none else zeros_like(param.grad)

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
        return printing.text(self._get_name(), self.extra_repr(), self._modules)
