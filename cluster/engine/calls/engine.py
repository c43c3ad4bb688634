"""Serves calls of a program over its stages. It has no thread: whoever brings news does the work that follows."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable

from cluster.api.errors import ClusterError, UnreachableError, error_named
from cluster.engine.busy import BusyWindow
from cluster.engine.calls.call import Call, CallSink
from cluster.engine.calls.pipeline import CallPipeline
from cluster.engine.events import Reset
from cluster.engine.loop import AGAIN, MOST_PAUSE_S, lost_error, stopped_error
from cluster.engine.outages import Outages
from cluster.engine.seams import Snapshot, Steps
from cluster.messages.program import Arrays, ProgramResult, ProgramStep
from cluster.messages.stage import StageFailure
from cluster.messages.step import StepTiming


class CallEngine:
    """All methods are for any thread, and none waits.

    Each call is answered through its sink once, whatever goes wrong. After a StageFailure all calls are held, and new
    ones wait, until `reset` starts a newer epoch: then they are computed, or computed again. If that takes longer than
    `patience_s` without progress (see `expect`), they end with StageLostError (UnreachableError, if it was the
    coordinator's own fault), and new ones are refused with it.
    """

    def __init__(
        self,
        stages: Steps[ProgramStep],
        num_stages: int,
        max_waiting: int,
        *,
        now: Callable[[], float] = time.monotonic,
        find_cause: Callable[[StageFailure], StageFailure] = lambda failure: failure,
        patience_s: float = 0.0,
    ) -> None:
        """`find_cause`: what a failure is told as, where whoever noticed it could not know better."""
        self._stages = stages
        self._find_cause = find_cause
        self._now = now
        # One for each stage, and one whose arrays are on their way meanwhile.
        self.max_in_flight = num_stages + 1
        self._patience_s = patience_s
        self._pipeline = CallPipeline(self.max_in_flight, max_waiting)
        self._busy = BusyWindow(num_stages, now())
        self._lock = threading.RLock()
        self._is_idle = threading.Condition(self._lock)
        self._pause: str | None = None  # why nothing more is sent
        self._end_of_hold: threading.Timer | None = None  # of calls that wait for a newer epoch
        self._numbers = itertools.count(1)
        self._num_ended = 0
        self._outages = Outages()
        self._is_stopped = self._is_refusing = False

    def submit(self, symbols: tuple[int, ...], arrays: Arrays, sink: CallSink, client: str = "") -> int:
        """Ask for one call. Returns its number; never raises."""
        call = Call(next(self._numbers), symbols, arrays, client, sink)
        with self._lock:
            if self._is_refusing:
                call.answer(stopped_error())
                return call.number
            if self._is_stopped or (self._outages.cause is not None and self._end_of_hold is None):
                call.answer(stopped_error() if self._outages.cause is None else lost_error(self._outages.cause))
                return call.number
            try:
                leaves = self._pipeline.add(call)
            except ClusterError as error:
                call.answer(error)
                return call.number
            if leaves is not None:
                leaves.answer(UnreachableError("queue: it is full, and others have less in it; ask again later"))
            self._fill()
        return call.number

    def cancel(self, number: int) -> None:
        """Nobody waits for this call any more. Unknown ones are ignored."""
        with self._lock:
            self._pipeline.cancel(number)

    def deliver(self, event: ProgramResult | StepTiming) -> None:
        """What the stages send back. Old epochs, unknown steps and duplicates are dropped."""
        with self._lock:
            if isinstance(event, StepTiming):
                self._busy.record(event, self._now())
                return
            call = self._pipeline.complete(event.id)
            self._fill()
            if not self._pipeline.num_in_flight:
                self._is_idle.notify_all()
            if call is None:
                return
            self._num_ended += 1
        failure = event.failure
        call.answer(event.arrays if failure is None else error_named(failure.kind, failure.reason))

    def fail(self, failure: StageFailure) -> None:
        """A stage is lost. A failure of an older epoch is dropped, one of a newer epoch counts once that begins."""
        self._lose(failure, is_cut=False)

    def cut(self, failure: StageFailure) -> None:
        """The same of a connection: whether the stage has died, too, shows with the next `reset`."""
        self._lose(failure, is_cut=True)

    def _lose(self, failure: StageFailure, *, is_cut: bool) -> None:
        with self._lock:
            if self._outages.is_begun_by(failure, self._pipeline.epoch):
                self._begin_outage(self._find_cause(failure), self._patience_s, is_cut=is_cut)

    def _begin_outage(
        self, cause: StageFailure, patience_s: float, *, is_cut: bool, is_on_purpose: bool = False
    ) -> None:
        self._pause = None
        self._outages.begin(self._now(), cause, is_cut=is_cut, is_on_purpose=is_on_purpose)
        self._pipeline.rewind(is_loss=True)
        self._is_idle.notify_all()
        if patience_s:
            self._hold(cause, patience_s)
        else:
            self._end_all(lost_error(cause))

    def _hold(self, cause: StageFailure, patience_s: float) -> None:
        self._end_of_hold = threading.Timer(patience_s, self._give_up, (cause,))
        self._end_of_hold.daemon = True
        self._end_of_hold.start()

    def _give_up(self, cause: StageFailure) -> None:
        with self._lock:
            if self._outages.cause is cause:
                self._end_of_hold = None
                self._end_all(lost_error(cause))

    def _release(self) -> None:
        """Nobody waits for a newer epoch any more."""
        timer, self._end_of_hold = self._end_of_hold, None
        if timer is not None:
            timer.cancel()

    def pause(self, why: str, timeout_s: float) -> None:
        """Ends what is under way and holds all calls until `reset`; waits for so long."""
        with self._lock:
            if self._outages.cause is not None or self._is_stopped:
                return
            self._pause = why
            self._is_idle.wait_for(lambda: self._pause is None or not self._pipeline.num_in_flight, timeout_s)
            if self._pause is not None and not self._pipeline.num_in_flight:
                cause = StageFailure(None, self._pipeline.epoch, why)
                patience_s = max(self._patience_s, MOST_PAUSE_S)
                self._begin_outage(cause, patience_s, is_cut=True, is_on_purpose=True)

    def reset(self, reset: Reset) -> None:
        """The stages are wired anew; what was under way is computed again, each call whole, whatever they hold.

        An epoch not newer is ignored.
        """
        with self._lock:
            if reset.epoch <= self._pipeline.epoch:
                return
            self._release()
            self._pipeline.rewind(is_loss=False)  # where stages had died, that was told before
            ended = self._pipeline.judge(nobody_died=self._outages.is_cut and reset.are_same)
            cause = self._outages.cause or StageFailure(None, reset.epoch, "the stages were started anew")
            self._pipeline.begin(reset.epoch)
            self._pause = None
            early = self._outages.end(self._now())
            if early is not None:
                self.fail(early)
            self._fill()
            for call in ended:  # last, since a reader may ask again at once
                call.answer(lost_error(cause, AGAIN))

    def expect(self) -> None:
        """The stages are on their way back: patience with them begins anew."""
        with self._lock:
            if self._outages.cause is not None and self._end_of_hold is not None and not self._outages.is_on_purpose:
                self._release()
                self._hold(self._outages.cause, self._patience_s)

    def refuse(self) -> None:
        """Take no new call any more; those that are open go on."""
        self._is_refusing = True

    def stop(self) -> None:
        """End all calls, and take no more."""
        with self._lock:
            self._is_stopped = True
            self._release()
            self._is_idle.notify_all()
            self._end_all(stopped_error())

    def snapshot(self) -> Snapshot:
        """Figures of this moment."""
        with self._lock:
            return Snapshot(
                epoch=self._pipeline.epoch,
                failure=self._outages.cause,
                num_slots_used=self._pipeline.num_in_flight,
                num_waiting=self._pipeline.num_waiting,
                num_in_flight=self._pipeline.num_in_flight,
                num_requests=self._num_ended,
                num_tokens=0,
                stages=self._busy.activities(self._now()),
                outages=self._outages.figures(self._now()),
                is_holding=self._outages.cause is not None and self._end_of_hold is not None,
                is_on_purpose=self._outages.is_on_purpose,
            )

    @property
    def failure(self) -> StageFailure | None:
        """Why calls are refused; None when ready."""
        return self._outages.cause

    def timings(self, stage: int) -> tuple[StepTiming, ...]:
        """The latest steps of a stage, on that stage's clock."""
        with self._lock:
            return self._busy.timings(stage)

    def _fill(self) -> None:
        while self._outages.cause is None and self._pause is None and (step := self._pipeline.next_step()) is not None:
            try:
                self._stages.submit(step)
            except ClusterError as error:
                self.cut(StageFailure(0, self._pipeline.epoch, str(error)))

    def _end_all(self, error: ClusterError) -> None:
        for call in self._pipeline.clear():
            call.answer(error)
