"""Which nodes of an edge program ggml runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from executorch.exir.backend.partitioner import DelegationSpec, Partitioner, PartitionResult
from executorch.exir.backend.utils import tag_constant_data

from ggml.core.dtypes import DType
from ggml.executorch.backend import GgmlBackend, specs_of
from ggml.executorch.supported import keepable, left_out
from ggml.export.mixed.partition import Support
from ggml.programs.quantizing import require_blocks


class GgmlPartitioner(Partitioner):  # type: ignore[misc]
    """For ``to_edge_transform_and_lower``: gives ggml all that it can run; the rest runs on ExecuTorch's own kernels.

    Linear layers, attention, norms and whatever else ggml has a rule for stay whole. ``quantization`` is a quantised
    dtype of ggml for the matrices of linear layers and embeddings, as in ``ggml.export.lower``.
    """

    def __init__(self, *, quantization: DType | None = None) -> None:
        super().__init__()
        require_blocks("GgmlPartitioner", quantization)
        self._delegation = DelegationSpec(GgmlBackend.__name__, specs_of(quantization))

    def ops_to_not_decompose(self, ep: Any) -> tuple[list[Any], Callable[[Any], bool] | None]:
        """The operations that ggml takes whole, wherever this program has them."""
        return keepable(ep), None

    def partition(self, exported_program: Any) -> Any:
        """Tags the nodes of each part; weights go with the part that reads them."""
        from torch.fx.passes.infra.partitioner import CapabilityBasedPartitioner

        module, left = exported_program.graph_module, left_out(exported_program)
        partitioner = CapabilityBasedPartitioner(module, Support(left), allows_single_node_partition=True)
        tags = {}
        for part in partitioner.propose_partitions():
            tag = f"ggml_{part.id}"
            tags[tag] = self._delegation
            for node in part.nodes:
                node.meta["delegation_tag"] = tag
        tag_constant_data(exported_program)
        return PartitionResult(tagged_exported_program=exported_program, partition_tags=tags)
