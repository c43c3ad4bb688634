"""A stage: steps come in from upstream, are computed in order by one thread, and go on downstream."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

from cluster.api.errors import ClusterError, UnreachableError, UsageError
from cluster.api.status import Condition, Health, StageFacts
from cluster.messages.program import AnyStep
from cluster.messages.stage import Hello, Holdings, StageCosts, StageFailure, Wiring
from cluster.messages.step import Float32Array, Microbatch, SampledStep, StepResult, StepTiming
from cluster.node.heap import freeze_heap
from cluster.node.processes import rss_bytes
from cluster.stage.computing import Runner, StepOutput
from cluster.stage.cores import prepare_compute_thread
from cluster.stage.inbox import Inbox
from cluster.stage.model import StageSizes
from cluster.stage.neighbours import Neighbours
from cluster.stage.spec import LoadedStage, LoadProgress, OnProgress, StageSpec
from cluster.stage.stuck import StuckWatch, most_s
from cluster.stage.token_feed import TokenFeed
from cluster.wire.access.keys import Keys
from cluster.wire.codec.event import Event
from cluster.wire.stage.server import StageServer
from cluster.wire.stage.stream import HOLD_TIMEOUT_S

Load = Callable[[StageSpec, OnProgress], Runner]


class StageService:
    """One stage of the pipeline. It implements `wire.stage.server.StageBackend`."""

    def __init__(
        self,
        spec: StageSpec,
        load: Load,
        keys: Keys,
        core: int | None = None,
        give_up: Callable[[], None] = lambda: None,
    ) -> None:
        """`load` makes of `spec` what computes; it is called in the computing thread, and says how far it is.

        `keys`: for stages. `core`: that of the computing thread; None: the system's choice. `give_up` is called, once
        that was told, when a step does not end: the computing thread is lost then, and only the process can end it.
        """
        self._spec = spec
        self._load = load
        self._keys = keys
        self._core = core
        self._progress = LoadProgress("waiting", 0.0)
        self._sizes = StageSizes()
        self._runner: Runner | None = None  # once it is loaded
        self._inbox = Inbox()
        self._server: StageServer | None = None
        self._address = ""
        self._tokens = TokenFeed()
        self._neighbours = Neighbours(keys, self._tokens.take, self._fail, self._tokens.read_from)
        self.wired_epoch = 0
        self._wiring_lock = threading.Lock()  # whoever brings the cluster up, and the coordinator, may both wire
        self._epoch: int | None = None  # the epoch that is computed; steps of any other are dropped
        self._held_epoch: int | None = 0  # the newest of which the slots hold rows; 0: they are empty; None: unknown
        self._begun_epoch, self._holdings = 0, Holdings(0)  # what they held when that epoch began
        self._has_begun = threading.Condition()
        self._costs = StageCosts()
        self._give_up = give_up
        self._watch = StuckWatch(self._stuck)
        self._health = Health()

    def start_loading(self) -> None:
        """Load in the computing thread; `progress` tells how far it is, and why it failed. For one thread.

        Does nothing if that has begun: an `up` that was interrupted may have asked for it before.
        """
        if self._progress.phase in ("waiting", "failed"):
            self._progress = LoadProgress("cutting", 0.0)
            threading.Thread(target=self._serve, name="compute", daemon=True).start()

    def progress(self) -> LoadProgress:
        return self._progress

    def wire(self, wiring: Wiring) -> str:
        """Listen as our Hello says, connect to the next stage for its epoch, and, the first one, to the last.

        Returns our address. The epoch itself begins when upstream or the coordinator says Hello. HandshakeError or
        UnreachableError if another stage does not agree or answer.
        """
        with self._wiring_lock:
            if self._server is None:
                self._server = StageServer(
                    wiring.hello, self, self._keys.listener, wiring.callers, self._inbox.read_from
                )
                self._address = self._server.start()
            else:
                self._server.expect(wiring.hello.epoch, wiring.callers)
            self.wired_epoch = wiring.hello.epoch
            self._neighbours.join(wiring)
            return self._address

    def rewire(self, wiring: Wiring) -> None:
        """As `wire`, asked by the coordinator. HandshakeError for an epoch that is not newer."""
        self.wire(wiring)

    def stop(self) -> None:
        """End the threads and streams and free the weights."""
        self._inbox.stop()
        self._watch.stop()
        self._tokens.end()
        self._neighbours.leave()
        if self._server is not None:
            self._server.stop()

    def compile(self, grammar: str) -> None:
        """Have a grammar ready for the slots that will follow it. UsageError if it cannot be used."""
        if self._runner is None or self._spec.stage != self._spec.num_stages - 1:
            raise UsageError(f"grammar: stage {self._spec.stage} follows none; ask the last one, once it is loaded")
        self._runner.compile(grammar)

    def accept(self, hello: Hello) -> None:
        """A new epoch: what waits is dropped. What the slots hold stays, for the coordinator to make use of."""
        self._inbox.drain()
        self._tokens.begin(hello.epoch)
        self._inbox.put(hello)

    def submit(self, step: AnyStep, hidden: Float32Array | None, received_ns: int) -> None:
        """Queue a step; waits while the queue is full."""
        self._inbox.put((step, hidden, received_ns))

    def holdings(self, epoch: int) -> Holdings:
        """What the slots hold as `epoch` begins, once the computing thread has come to it; UnreachableError."""
        with self._has_begun:
            self._has_begun.wait_for(lambda: self._begun_epoch >= epoch, HOLD_TIMEOUT_S)
            if self._begun_epoch != epoch:
                raise UnreachableError(f"epoch: stage {self._spec.stage} has begun {self._begun_epoch}, not {epoch}")
            return self._holdings

    def describe(self) -> StageFacts:
        """The stage now; sizes are 0 before it is loaded."""
        return StageFacts(
            stage=self._spec.stage,
            node=self._keys.node,
            device=self._spec.device,
            first=self._spec.first,
            end=self._spec.end,
            health=self._health,
            pid=os.getpid(),
            weight_bytes=self._sizes.weight_bytes,
            kv_bytes=self._sizes.kv_bytes,
            compute_bytes=self._sizes.compute_bytes,
            rss_bytes=rss_bytes(),
        )

    def _serve(self) -> None:
        """The computing thread, the only one that touches the model: ggml keeps threads for each caller."""
        prepare_compute_thread(self._core)
        try:
            runner = self._load(self._spec, self._report)
            self._report("measuring", 0.0)
            self._costs = costs = runner.model.measure()
            self._runner = runner
            self._sizes = runner.model.sizes()  # now: during a step nobody may ask the model
            model = runner.model
            loaded = LoadedStage(self.describe(), model.build, model.hidden_width, costs, model.picture_width)
        except Exception as error:  # whoever brings us up gets it through `progress`
            ours = error if isinstance(error, ClusterError) else ClusterError(f"stage {self._spec.stage}: {error!r}")
            self._progress = LoadProgress("failed", 0.0, error=ours)
        else:
            self._progress = LoadProgress("ready", 1.0, loaded)
            freeze_heap()
            self._watch.start()
            self._run(runner)

    def _report(self, phase: str, fraction: float) -> None:
        self._progress = LoadProgress(phase, fraction)

    def _run(self, runner: Runner) -> None:
        while (work := self._inbox.get()) is not None:
            if isinstance(work, Hello):
                self._begin(runner, work.epoch)
            elif work[0].id.epoch == self._epoch:
                self._step(runner, *work)
        runner.close()

    def _begin(self, runner: Runner, epoch: int) -> None:
        self._epoch, self._health = epoch, Health()
        kept, held_epoch = runner.kept, self._held_epoch
        if kept is None or held_epoch is None:
            held_epoch = 0
            try:
                runner.reset()
                self._held_epoch = 0
            except Exception as error:
                self._fail(self._spec.stage, epoch, f"epoch {epoch}: {error}")
        with self._has_begun:
            self._begun_epoch, self._holdings = epoch, Holdings(held_epoch, (kept or ()) if held_epoch else ())
            self._has_begun.notify_all()

    def _step(self, runner: Runner, step: AnyStep, hidden: Float32Array | None, received_ns: int) -> None:
        answered_ns = self._tokens.wait(step) if isinstance(step, Microbatch) else 0
        if answered_ns is None:
            return  # the epoch is over
        start_ns = time.monotonic_ns()
        try:
            if isinstance(step, Microbatch):
                step = self._tokens.fill(step)
            with self._watch.step(most_s(self._costs, step.num_rows)):
                output = runner.run(step, hidden)
        except Exception as error:  # whatever it is: if this thread ended, the coordinator would wait forever
            self._held_epoch = None
            reason = str(error) or type(error).__name__
            self._fail(self._spec.stage, step.id.epoch, f"step {step.id.step}: {' '.join(reason.split())}")
            return
        end_ns = time.monotonic_ns()
        self._held_epoch = step.id.epoch
        self._pass_on(step, output)
        if isinstance(step, Microbatch) and not step.is_computed_by(self._spec.stage):
            return
        runner.follow()
        arrived_ns = max(received_ns, answered_ns)
        times = start_ns, end_ns, arrived_ns
        self._publish(StepTiming(step.id, self._spec.stage, step.num_rows, *times, waited=answered_ns > 0))

    def _stuck(self, passed_s: float) -> None:
        """In the watching thread: the computing one will not come back."""
        epoch = self._epoch
        if epoch is not None:
            self._fail(self._spec.stage, epoch, f"a step has not ended for {passed_s:.0f} s: its device hangs")
        self._give_up()

    def _pass_on(self, step: AnyStep, output: StepOutput) -> None:
        if output.result is not None:
            if self._spec.stage == 0 and isinstance(output.result, StepResult):
                self._tokens.take(SampledStep.of(output.result))
            self._publish(output.result)
            return
        assert output.passed is not None, "a step goes on, or is answered"
        try:
            self._neighbours.send(output.passed, output.hidden)
        except ClusterError as error:
            self._fail(self._spec.stage + 1, step.id.epoch, str(error))

    def _fail(self, stage: int, epoch: int, reason: str) -> None:
        """Tell the coordinator, and compute nothing more in this epoch."""
        if epoch == self._epoch:
            self._epoch = None
        if stage == self._spec.stage:
            self._health = Health(Condition.LOST, reason)
        self._publish(StageFailure(stage, epoch, reason))

    def _publish(self, event: Event) -> None:
        if self._server is not None:
            self._server.publish(event)
