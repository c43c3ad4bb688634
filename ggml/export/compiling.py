"""``torch.compile(model, backend="ggml")``: what torch.compile captures, with its operations on ggml."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from ggml.core.errors import UnsupportedOpError
from ggml.export.kept import kept_composites
from ggml.export.mixed.partition import partition


def backend(
    module: Any, inputs: Sequence[Any], options: Mapping[str, Any] = MappingProxyType({})
) -> Callable[..., Any]:
    """A backend for ``torch.compile``, which finds it under the name "ggml". For inference, on the CPU.

    It is called with each graph that torch.compile captures and its example inputs, parameters among them. They are
    read where they lie, in each call, so that a parameter may change. What ggml lacks stays torch's. Sizes that
    torch.compile takes for dynamic are those of the native graphs, of which there is one for each shape.

    UnsupportedOpError, which torch.compile shows as the cause of its own, where gradients would be needed, and for
    tensors elsewhere than on the CPU.
    """
    from torch._functorch.aot_autograd import aot_module_simplified

    _require_inference(inputs)
    if options:
        raise UnsupportedOpError("torch.compile", "ggml", f"it has no options, such as {next(iter(options))}")
    with kept_composites() as decompositions:
        compiled: Callable[..., Any] = aot_module_simplified(
            module,
            inputs,
            fw_compiler=_refuse_gradients,
            inference_compiler=_on_ggml,
            decompositions=decompositions,
        )
    return compiled


def _on_ggml(module: Any, inputs: Sequence[Any]) -> Callable[..., Any]:
    """A graph of ATen's operations on flat inputs, without any that writes."""
    found = partition(module, {}, {})
    for island in found.islands:
        island.hold({})

    def run(*arguments: Any) -> Any:
        return found.module(*arguments)

    return run


def _require_inference(inputs: Sequence[Any]) -> None:
    import torch

    tensors = [one for one in inputs if isinstance(one, torch.Tensor)]
    if torch.is_grad_enabled() and any(one.requires_grad for one in tensors):
        hint = "there are no gradients; call the model within torch.inference_mode() or torch.no_grad()"
        raise UnsupportedOpError("torch.compile", "ggml", hint)
    elsewhere = sorted({str(one.device) for one in tensors if one.device.type != "cpu"})
    if elsewhere:
        raise UnsupportedOpError(
            "torch.compile", "ggml", f"tensors lie on {', '.join(elsewhere)}; move the model to the CPU"
        )


def _refuse_gradients(module: Any, inputs: Sequence[Any]) -> Any:
    hint = "the graph computes gradients; call the model within torch.inference_mode()"
    raise UnsupportedOpError("torch.compile", "ggml", hint)
