"""A stage: steps come in from upstream, are computed in order by one thread, and go on downstream."""

from __future__ import annotations

import os
import platform
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from cluster.api.errors import ClusterError
from cluster.api.status import Condition, Health, StageFacts
from cluster.messages.stage import Hello, StageFailure, Wiring
from cluster.messages.step import Float32Array, Microbatch, SampledStep, StepTiming
from cluster.node.heap import freeze_heap
from cluster.node.processes import rss_bytes
from cluster.node.secret import Secret
from cluster.stage.cores import prepare_compute_thread
from cluster.stage.loading import Report, load_stage
from cluster.stage.runner import StageCompute, StageSizes, StepOutput
from cluster.stage.spec import LoadedStage, LoadProgress, StageSpec
from cluster.stage.token_feed import TokenFeed
from cluster.wire.access.endpoint import Endpoint
from cluster.wire.codec.event import Event
from cluster.wire.stage.link import StageLink
from cluster.wire.stage.server import StageServer
from cluster.wire.stage.token_watch import TokenWatch

MAX_QUEUED_STEPS = 64  # more than a pipeline has in flight; beyond it the sender waits
_STOP_CHECK_S = 0.1

LoadStage = Callable[[StageSpec, Report], tuple[StageCompute, str]]
_Step = tuple[Microbatch, Float32Array | None, int]


class StageService:
    """One stage of the pipeline. It implements `wire.stage_server.StageBackend`."""

    def __init__(self, spec: StageSpec, secret: Secret, core: int | None = None, load: LoadStage | None = None) -> None:
        """`secret`: what stages ask each other for. `core`: that of the computing thread; None: the system's choice.

        `load`: how the slice that `spec` names is loaded, where not from the spec's source.
        """
        self._spec = spec
        self._secret = secret
        self._core = core
        self._load = load or load_stage
        self._progress = LoadProgress("waiting", 0.0)
        self._sizes = StageSizes()
        self._inbox: queue.Queue[_Step | Hello | None] = queue.Queue(MAX_QUEUED_STEPS)
        self._server: StageServer | None = None
        self._address = ""
        self._link: StageLink | None = None
        self._tokens = TokenFeed()
        self._token_watch: TokenWatch | None = None
        self.wired_epoch = 0
        self._wiring_lock = threading.Lock()  # whoever brings the cluster up, and the coordinator, may both wire
        self._epoch: int | None = None  # the epoch that is computed; steps of any other are dropped
        self._health = Health()
        self._stopping = threading.Event()

    def start_loading(self) -> None:
        """Cut and load in the computing thread; `progress` tells how far it is, and why it failed. For one thread.

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
            return self._wire(wiring)

    def rewire(self, wiring: Wiring) -> None:
        """As `wire`, asked by the coordinator. HandshakeError for an epoch that is not newer."""
        with self._wiring_lock:
            self._wire(wiring)

    def _wire(self, wiring: Wiring) -> str:
        hello = wiring.hello
        if self._server is None:
            self._server = StageServer(hello, self, self._secret)
            self._address = self._server.start()
        else:
            self._server.expect(hello.epoch)
        self.wired_epoch = hello.epoch
        self._leave_others()
        if wiring.downstream is not None:
            there = wiring.downstream
            lost = partial(self._fail, there.hello.stage, hello.epoch)
            link = StageLink(Endpoint(there.address, self._secret), there.hello, lost)
            link.open()
            self._link = link
        if wiring.last is not None:
            there = wiring.last
            lost = partial(self._fail, there.hello.stage, hello.epoch)
            watch = TokenWatch(Endpoint(there.address, self._secret), there.hello, self._tokens.take, lost)
            watch.open()
            self._token_watch = watch
        return self._address

    def stop(self) -> None:
        """End the threads and streams and free the weights."""
        self._stopping.set()
        self._drain()
        self._inbox.put(None)
        self._tokens.end()
        self._leave_others()
        if self._server is not None:
            self._server.stop()

    def accept(self, hello: Hello) -> None:
        """A new epoch: what waits is dropped, and the computing thread forgets all sequences first."""
        self._drain()
        self._tokens.begin(hello.epoch)
        self._put(hello)

    def submit(self, batch: Microbatch, hidden: Float32Array | None, received_ns: int) -> None:
        """Queue a step; waits while the queue is full."""
        self._put((batch, hidden, received_ns))

    def describe(self) -> StageFacts:
        """The stage now; sizes are 0 before it is loaded."""
        sizes = self._sizes
        return StageFacts(
            stage=self._spec.stage,
            node=platform.node(),
            device=self._spec.device,
            first=self._spec.first,
            end=self._spec.end,
            health=self._health,
            pid=os.getpid(),
            weight_bytes=sizes.weight_bytes,
            kv_bytes=sizes.kv_bytes,
            compute_bytes=sizes.compute_bytes,
            rss_bytes=rss_bytes(),
        )

    @property
    def _name(self) -> str:
        return f"stage {self._spec.stage}"

    def _leave_others(self) -> None:
        for stream in (self._link, self._token_watch):
            if stream is not None:
                stream.close()
        self._link = self._token_watch = None

    def _serve(self) -> None:
        """The computing thread, the only one that touches the native slice: ggml keeps threads for each caller."""
        prepare_compute_thread(self._core)
        try:
            compute, build = self._load(self._spec, self._report)
            self._report("measuring", 0.0)
            costs = compute.measure()
            self._sizes = compute.sizes()  # now: during a step nobody may ask the slice
            loaded = LoadedStage(self.describe(), build, compute.hidden_width, costs)
        except Exception as error:  # whoever brings us up gets it through `progress`
            failure = error if isinstance(error, ClusterError) else ClusterError(f"{self._name}: {error!r}")
            self._progress = LoadProgress("failed", 0.0, error=failure)
        else:
            self._progress = LoadProgress("ready", 1.0, loaded)
            freeze_heap()
            self._run(compute)

    def _report(self, phase: str, fraction: float) -> None:
        self._progress = LoadProgress(phase, fraction)

    def _put(self, work: _Step | Hello) -> None:
        while not self._stopping.is_set():
            try:
                self._inbox.put(work, timeout=_STOP_CHECK_S)
                return
            except queue.Full:
                continue

    def _drain(self) -> None:
        try:
            while True:
                self._inbox.get_nowait()
        except queue.Empty:
            return

    def _run(self, compute: StageCompute) -> None:
        while (work := self._inbox.get()) is not None:
            if isinstance(work, Hello):
                self._begin(compute, work.epoch)
            elif work[0].id.epoch == self._epoch:
                self._step(compute, *work)
        compute.close()

    def _begin(self, compute: StageCompute, epoch: int) -> None:
        self._epoch, self._health = epoch, Health()
        try:
            compute.reset()
        except Exception as error:
            self._fail(self._spec.stage, epoch, f"epoch {epoch}: {error}")

    def _step(self, compute: StageCompute, batch: Microbatch, hidden: Float32Array | None, received_ns: int) -> None:
        answered_ns = self._tokens.wait(batch)
        if answered_ns is None:
            return  # the epoch is over
        start_ns = time.monotonic_ns()
        try:
            batch = self._tokens.fill(batch)
            output = compute.run(batch, hidden)
        except Exception as error:  # of any kind: if this thread ended, the coordinator would wait forever
            reason = str(error) or type(error).__name__
            self._fail(self._spec.stage, batch.id.epoch, f"step {batch.id.step}: {' '.join(reason.split())}")
            return
        end_ns = time.monotonic_ns()
        self._pass_on(batch, output)
        received_ns = max(received_ns, answered_ns)
        self._publish(StepTiming(batch.id, self._spec.stage, batch.num_rows, start_ns, end_ns, received_ns))

    def _pass_on(self, batch: Microbatch, output: StepOutput) -> None:
        if output.result is not None:
            if self._spec.stage == 0:
                self._tokens.take(SampledStep.of(output.result))
            self._publish(output.result)
        elif self._link is not None:
            try:
                passed = replace(batch, failures=output.failures) if output.failures else batch
                self._link.send(passed, output.hidden)
            except ClusterError as error:
                self._fail(self._spec.stage + 1, batch.id.epoch, str(error))

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
