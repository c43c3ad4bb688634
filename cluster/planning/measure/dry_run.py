"""What a slice takes, as libllama itself plans it: exact for every architecture, and no weight is read.

libllama sizes its compute buffers by building the worst graph of a context and laying its tensors out; with
`no_alloc` it does just that. It gets a file that holds a slice's header and is a hole behind it. All this happens in
a child process, since libllama may abort.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal

from cluster.api.errors import CapacityError, ClusterError, UnsupportedModelError, UsageError
from cluster.cutting.adapter import Adapter, adapter_part
from cluster.cutting.cut import cut
from cluster.cutting.model import Model
from cluster.engine.limits import LOGIT_BYTES, max_logits_rows
from cluster.node.child import Child
from cluster.node.disk import named_errors, safe_tempdir, temporary_root

ANSWER_TIMEOUT_S = 60.0
ELSEWHERE = "set TMPDIR to a folder on another disk"
CONVERT = "fetch it or convert it again"


@dataclass(frozen=True, slots=True)
class Context:
    """What a slice's memory depends on besides its layers. The names are those of `worker_native.measure`."""

    n_ctx: int  # tokens per slot
    n_slots: int
    n_ubatch: int
    type_k: str
    type_v: str
    flash_attn: Literal["auto", "on", "off"]
    use_extra_bufts: bool = True


@dataclass(frozen=True, slots=True)
class StageMemory:
    """What one stage takes, in bytes. The first three are what a loaded slice then reports."""

    weight_bytes: int  # adapters included
    kv_bytes: int
    compute_bytes: int
    output_bytes: int  # rows of logits that libllama keeps room for, computed or not

    @property
    def total_bytes(self) -> int:
        return self.weight_bytes + self.kv_bytes + self.compute_bytes + self.output_bytes


class DryRun:
    """Measures slices of one model. Close it."""

    def __init__(self, model: Model, adapters: Sequence[Adapter] = ()) -> None:
        """`adapters`: that are added to the model; each slice has its own part of them."""
        self._model = model
        self._adapters = tuple(adapters)
        self._known: dict[tuple[int, int, str, Context], StageMemory] = {}
        with named_errors(temporary_root(), ELSEWHERE):
            self._folder = tempfile.TemporaryDirectory(prefix="ggml-cluster-plan-", dir=safe_tempdir())
        self._child = Child("cluster.planning.measure.dry_run_child")

    def measure(self, first: int, end: int, device: str, context: Context) -> StageMemory:
        """Layers [first, end) on `device`. UnsupportedModelError or UsageError if libllama does not take it."""
        key = first, end, device, context
        if key not in self._known:
            self._known[key] = self._measure(first, end, device, context)
        return self._known[key]

    def close(self) -> None:
        self._child.close()
        self._folder.cleanup()

    def __enter__(self) -> DryRun:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _measure(self, first: int, end: int, device: str, context: Context) -> StageMemory:
        question = {"path": str(self._hollow_file(first, end)), "device": device, **asdict(context)}
        try:
            needs = self._child.ask({**question, "n_batch": context.n_ubatch}, ANSWER_TIMEOUT_S)
        except ClusterError as error:
            raise UnsupportedModelError(
                f"{self._model.header.path}: libllama cannot plan layers [{first}, {end}): {error}; "
                f"{CONVERT if 'error loading model' in str(error) else 'cut elsewhere'}"
            ) from error
        if "memory" in needs:
            raise CapacityError(f"{self._model.header.path}: layers [{first}, {end}): {needs['memory']}")
        if "refused" in needs:
            raise UsageError(f"{self._model.header.path}: layers [{first}, {end}): {needs['refused']}")
        rows = _output_rows(end == self._model.num_layers, needs["vocab_size"], context)
        output_bytes = rows * needs["vocab_size"] * LOGIT_BYTES
        weight_bytes = needs["weight_bytes"] + self._adapter_bytes(first, end)
        return StageMemory(weight_bytes, needs["kv_bytes"], needs["compute_bytes"], output_bytes)

    def _adapter_bytes(self, first: int, end: int) -> int:
        return sum(adapter_part(adapter, self._model, first, end).file_bytes for adapter in self._adapters)

    def _hollow_file(self, first: int, end: int) -> Path:
        path = Path(self._folder.name) / f"{first}-{end}.gguf"
        if not path.exists():
            plan = cut(self._model, first, end)
            with named_errors(path, ELSEWHERE), path.open("wb") as file:
                file.write(plan.header_bytes)
                file.truncate(plan.file_bytes)
        return path


def _output_rows(is_last: bool, vocab_size: int, context: Context) -> int:
    """Rows flagged as outputs at once: all but on the last stage, there those that are drawn from or returned."""
    if not is_last:
        return max(context.n_ubatch, context.n_slots)
    returned = max_logits_rows(context.n_ubatch, vocab_size)
    return max(context.n_slots, min(context.n_ubatch, context.n_slots + returned))
