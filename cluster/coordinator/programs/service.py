"""The coordinator of a program: an engine of calls, the stages it drives, and the server that clients talk to."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from queue import Empty, Queue

from cluster.api.errors import ClusterError, UnreachableError
from cluster.api.model import ModelInfo
from cluster.api.status import ClusterStatus, SlotStatus
from cluster.coordinator.pipeline import Pipeline
from cluster.coordinator.programs.no_text import NoText
from cluster.coordinator.programs.signature import Signature
from cluster.coordinator.spec import ProgramSpec
from cluster.engine.calls.engine import CallEngine
from cluster.messages.program import Arrays
from cluster.sources.stored import stored_vocabulary
from cluster.wire.access.endpoint import Listener
from cluster.wire.access.keys import Keys
from cluster.wire.inference.backend import ArraysSink, Cancel, GivenArray
from cluster.wire.inference.server import InferenceServer
from cluster.wire.limits import fit_text
from ggml.programs.files import read_graph


class ProgramService(NoText):
    """Schedules calls and serves; holds the graph, and no weights.

    Implements `wire.inference.backend.InferenceBackend`.
    """

    def __init__(self, spec: ProgramSpec, keys: Keys, clients: Listener) -> None:
        """Load the graph. `keys`: of the cluster's processes. `clients`: where they are answered."""
        super().__init__(spec.model)
        self._spec = spec
        graph = read_graph(str(stored_vocabulary(spec.source, spec.model_hash, keys).path))
        self._signature = Signature.of(graph)
        self._pipeline = Pipeline(spec, keys)
        self._engine = self._pipeline.engine = CallEngine(
            self._pipeline.stages,
            spec.num_stages,
            spec.max_waiting,
            find_cause=self._pipeline.cause_of,
            patience_s=spec.patience_s,
        )
        self.wire = self._pipeline.wire
        self.hold_recovery = self._pipeline.hold_recovery
        self.give_up = self._pipeline.give_up
        self.pause, self.expect, self.refuse = self._pipeline.pause, self._pipeline.expect, self._pipeline.refuse
        self.intervals = self._pipeline.intervals
        self._server = InferenceServer(self, clients)
        self._protection = clients.protection
        self._address = ""

    @property
    def epoch(self) -> int:
        """The epoch the engine is in; 0 before the stages were wired."""
        return self._engine.snapshot().epoch

    @property
    def trouble(self) -> str:
        """Why nothing is served; "" where it is."""
        return self._pipeline.trouble

    def start(self) -> str:
        """Listen. Returns the address; once more, if it listens already."""
        if not self._address:
            self._address = self._server.start()
            self._pipeline.start()
        return self._address

    def first_token(self, timeout_s: float) -> None:
        """Wait until a call of zeros has gone through all stages. What its numbers mean does not matter."""
        answers: Queue[Arrays | ClusterError] = Queue()
        call = self._engine.submit(self._signature.graph.hints, self._signature.example(), answers.put)
        try:
            answer = answers.get(timeout=timeout_s)
        except Empty:
            self._engine.cancel(call)
            raise UnreachableError(
                f"stages: no answer came back within {timeout_s:.0f} s; run cluster down, then up again"
            ) from None
        if isinstance(answer, UnreachableError):
            raise answer

    def stop(self) -> None:
        """End all calls, streams and threads."""
        self._pipeline.stop()
        self._engine.stop()
        self._server.stop()
        self._pipeline.close()

    @property
    def num_slots(self) -> int:
        """Calls that are under way at a time."""
        return self._engine.max_in_flight

    @property
    def keeps_requests(self) -> bool:
        """A call that is made again is computed again."""
        return self._spec.patience_s > 0

    def check_run(self, given: Mapping[str, GivenArray]) -> tuple[int, ...]:
        """The extents that a call brings. UsageError where the program takes something else."""
        return self._signature.symbols(given)

    def run(self, symbols: tuple[int, ...], arrays: Arrays, sink: ArraysSink, client: str = "") -> Cancel:
        """Queue a call that was checked."""
        return partial(self._engine.cancel, self._engine.submit(symbols, arrays, sink, client))

    def model(self) -> ModelInfo:
        """What is known of the program; what it takes and gives is in the metadata."""
        spec = self._spec
        shown = {"inputs": self._signature.shown_inputs, "outputs": self._signature.shown_outputs}
        return ModelInfo(
            name=spec.model,
            hash=spec.model_hash,
            architecture=spec.architecture,
            context_length=0,
            context_length_train=0,
            hidden_width=0,
            vocab_size=0,
            vocab_type=0,
            num_parameters=spec.num_parameters,
            size_bytes=spec.weight_bytes,
            file_type="",
            bos=None,
            eos=None,
            end_tokens=(),
            add_bos=False,
            metadata={f"program.{name}": fit_text(text) for name, text in shown.items()},
        )

    def status(self) -> ClusterStatus:
        """The cluster now; asks every stage."""
        return self._pipeline.status(self._address, self._protection, self.num_slots)

    def slots(self) -> tuple[SlotStatus, ...]:
        """A program has none."""
        return ()
