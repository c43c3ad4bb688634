"""Units of a program, computed by ggml."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

from cluster.api.errors import CapacityError, ClusterError, UsageError
from cluster.messages.program import Array, Arrays, CallFailure, ProgramResult, ProgramStep
from cluster.messages.stage import StageCosts
from cluster.messages.step import Float32Array
from cluster.stage.computing import StepOutput
from cluster.stage.model import StageSizes
from cluster.stage.models.arrays import array_of, tensor_of
from cluster.stage.models.prepared import prepare
from cluster.stage.spec import OnProgress, ProgramOptions, StageSpec
from cluster.wire.access.keys import Keys
from cluster.wire.limits import MAX_CALL_BYTES
from ggml.core.devices import Device, devices
from ggml.core.errors import GgmlError, OutOfMemoryError
from ggml.graph.threads import set_num_threads
from ggml.programs.expressions import extents
from ggml.programs.files import load_program
from ggml.programs.slices.memory import compute_bytes
from ggml.programs.slices.part import part
from ggml.programs.slices.running import Slice

MIB = 2**20
MAX_SHAPES = 64  # whose native graphs are kept, as `ggml.compile` does


class LoadedSlice:
    """The units of a stage with their weights. Implements `stage.computing.Loaded`."""

    hidden_width = picture_width = 1  # arrays have shapes of their own; the least that a Hello may say

    def __init__(self, loaded: Slice, device: Device, call_bytes: int, build: str, stage: int) -> None:
        self._slice = loaded
        self._device = device
        self._call_bytes = call_bytes
        self._stage = stage
        self._needs: dict[tuple[int, ...], int] = {}  # bytes of a call, by its extents
        self._kept: set[tuple[int, ...]] = set()  # extents of those whose native graphs are kept
        self._kept_bytes = 0  # what these may take
        self.build = build

    def sizes(self) -> StageSizes:
        graph = self._slice.graph
        return StageSizes(self._slice.weight_bytes, self._slice.state_bytes, self._bytes_of(graph.hints))

    def measure(self) -> StageCosts:
        """One call of zeros at the extents of the example, after one that records it."""
        graph = self._slice.graph
        specs = [(one.name, one.spec) for one in graph.users if one.spec is not None]
        given = {
            name: Array.zeros(spec.dtype.name, extents(spec.shape, graph.hints), spec.dtype.itemsize)
            for name, spec in specs
        }
        took_ms = 0.0
        for _ in range(2):
            begin_s = time.monotonic()
            self.call(given, graph.hints)
            took_ms = 1e3 * (time.monotonic() - begin_s)
        self.reset()
        return StageCosts(((1, took_ms),))

    def reset(self) -> None:
        """Give every buffer that calls change the value it had at first."""
        self._slice.reset()

    def call(self, given: Arrays, symbols: Sequence[int]) -> dict[str, Array]:
        """What the units give. GgmlError, CapacityError: what is wrong with this call."""
        if (takes := self._bytes_of(tuple(symbols))) > self._call_bytes:
            raise CapacityError(
                f"run: a call of this size takes {takes / MIB:,.0f} MiB on stage {self._stage}, which has "
                f"{self._call_bytes / MIB:,.0f} MiB for it; give smaller arrays, or use more stages"
            )
        self._keep(tuple(symbols), takes)
        tensors = {name: tensor_of(one, self._device) for name, one in given.items()}
        made = self._slice(tensors, symbols)
        sources = {id(tensor): given[name] for name, tensor in tensors.items()}
        found = {name: sources.get(id(tensor)) or array_of(tensor) for name, tensor in made.items()}
        if (sent := sum(len(one.data) for one in found.values())) > MAX_CALL_BYTES:
            raise CapacityError(
                f"run: stage {self._stage} would pass {sent / MIB:,.0f} MiB on, and at most "
                f"{MAX_CALL_BYTES / MIB:,.0f} are possible; give smaller arrays, or fewer at a time"
            )
        return found

    def _keep(self, symbols: tuple[int, ...], takes: int) -> None:
        """A native graph keeps memory for its results: those of all shapes together get what one call may have."""
        if symbols not in self._kept:
            if len(self._kept) >= MAX_SHAPES or self._kept_bytes + takes > self._call_bytes:
                self._slice.forget()
                self._kept.clear()
                self._kept_bytes = 0
            self._kept.add(symbols)
            self._kept_bytes += takes

    def _bytes_of(self, symbols: tuple[int, ...]) -> int:
        if symbols not in self._needs:
            if len(self._needs) >= 1024:
                self._needs.clear()
            self._needs[symbols] = compute_bytes(self._slice.graph, symbols, self._device)
        return self._needs[symbols]


class ProgramRunner:
    """Implements `stage.computing.Runner`."""

    def __init__(self, spec: StageSpec, model: LoadedSlice) -> None:
        self.model = model
        self._is_last = spec.stage == spec.num_stages - 1

    @property
    def kept(self) -> None:
        """A call is computed again as a whole."""
        return None

    def reset(self) -> None:
        self.model.reset()

    def run(self, step: ProgramStep, hidden: Float32Array | None) -> StepOutput:
        arrays: Arrays = {}
        failure = step.failure
        if failure is None:
            try:
                arrays = self.model.call(step.arrays, step.symbols)
            except (GgmlError, ClusterError) as error:
                failure = _failure(error)
        if self._is_last:
            return StepOutput(None, None, ProgramResult(step.id, arrays, failure))
        return StepOutput(ProgramStep(step.id, step.symbols, arrays, failure), None, None)

    def follow(self) -> None:
        """Nothing can be begun before the next call is known."""

    def compile(self, grammar: str) -> None:
        raise UsageError("grammar: a program makes no text")

    def close(self) -> None:
        del self.model


def _failure(error: GgmlError | ClusterError) -> CallFailure:
    """What the client is told: its own arrays were no good, or too large."""
    if isinstance(error, ClusterError):
        return CallFailure(type(error).__name__, str(error))
    kind = CapacityError if isinstance(error, OutOfMemoryError) else UsageError
    return CallFailure(kind.__name__, f"run: {error}")


def open_program(spec: StageSpec, options: ProgramOptions, report: OnProgress, keys: Keys | None) -> ProgramRunner:
    """Cut or fetch, and load what `spec` asks for, reporting (phase, fraction). Errors as for `open_gguf`."""
    loaded = load_units(spec, report, keys)
    return ProgramRunner(spec, LoadedSlice(loaded.units, loaded.device, options.call_bytes, loaded.build, spec.stage))


class LoadedUnits(NamedTuple):
    """The units of a stage on its device, and what computes them."""

    units: Slice
    device: Device
    build: str


def load_units(spec: StageSpec, report: OnProgress, keys: Keys | None) -> LoadedUnits:
    """Those that `spec` asks for; arguments and errors as for `open_program`."""
    library, stored = prepare(spec, report, keys)
    device = _device(spec.device)
    if device.is_cpu:
        set_num_threads(spec.num_threads)
    try:
        program = load_program(str(stored.path))
        graph = program.graph
        if not stored.key:  # a whole program: the user's own file
            graph = part(graph, (), 0, 1)
        held = {**program.weights, **program.state.all()}
        units = Slice(graph, {name: tensor.to(device) for name, tensor in held.items()})
    except OutOfMemoryError as error:
        raise CapacityError(f"stage {spec.stage}: {error}; use more stages") from error
    except GgmlError as error:
        raise UsageError(f"stage {spec.stage}: {error}") from error
    return LoadedUnits(units, device, library.build)


def _device(name: str) -> Device:
    for found in devices():
        if found.native == name:
            return found
    raise UsageError(f"device: no {name!a} here; there are {', '.join(one.native for one in devices())}")
