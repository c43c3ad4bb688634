"""The loop: fill while the pipeline has room, drain one event, settle it."""

from __future__ import annotations

import itertools
import logging
import queue
import secrets
import threading
import time
from collections.abc import Callable, Sequence

from cluster.api.embedding import Pooling
from cluster.api.errors import ClusterError, StageLostError, UnreachableError
from cluster.api.sampling import SamplingParams
from cluster.api.status import SlotStatus
from cluster.engine.busy import BusyWindow
from cluster.engine.drafting.drafter import Drafter
from cluster.engine.events import (
    Cancel,
    Drafted,
    Event,
    Keep,
    LinkBroke,
    NewRequest,
    Pause,
    Progress,
    Reset,
    Sink,
    Stop,
    keep_nothing,
    send,
)
from cluster.engine.limits import Limits
from cluster.engine.outages import Outages
from cluster.engine.requests import Requests
from cluster.engine.scheduler import Scheduler
from cluster.engine.seams import Inbox, Snapshot, Stages
from cluster.engine.text.vocabulary import Vocabulary
from cluster.messages.pictures import PictureRows
from cluster.messages.stage import StageFailure
from cluster.messages.step import StepResult, StepTiming

# What ends a request that may be what the stages die of: see `sequence.MOST_LOSSES`.
AGAIN = "for the third time while it was computed"
# For so long requests are held while somebody places the stages anew. By reasoning: large slices take minutes to load.
MOST_PAUSE_S = 1800.0

_log = logging.getLogger(__name__)


class Engine:
    """Serves requests over the stages. `run` is for one thread; all other methods are for any.

    Everything that happens is an event in the inbox. Each request is answered through its sink, which gets
    exactly one last output (see `events.is_last`), whatever goes wrong. What goes wrong with one request ends that
    one. After a StageFailure all requests are held, and new ones wait, until `reset` starts a newer epoch: then what
    stages have lost of them is computed again, and they go on. If that takes longer than `patience_s` without progress
    (see `expect`), they end with StageLostError (UnreachableError, if it was the coordinator's own fault), and new ones
    are refused with it.
    """

    def __init__(
        self,
        stages: Stages,
        vocabulary: Vocabulary,
        limits: Limits,
        epoch: int = 0,
        *,
        now: Callable[[], float] = time.monotonic,
        choose_seed: Callable[[], int] = lambda: secrets.randbits(63),
        inbox: Inbox | None = None,
        find_cause: Callable[[StageFailure], StageFailure] = lambda failure: failure,
        drafter: Drafter | None = None,
        patience_s: float = 0.0,
        keep: Keep = keep_nothing,
    ) -> None:
        """`find_cause`: what a failure is told as, where whoever noticed it could not know better.

        `drafter`: guesses tokens ahead, for the stages to check several in one step.
        """
        self._find_cause = find_cause
        self._stages = stages
        self._num_stages, self._num_slots = limits.num_stages, limits.num_slots
        self._vocab_size = vocabulary.num_tokens
        self._now = now
        self._inbox: Inbox = queue.SimpleQueue() if inbox is None else inbox
        self._scheduler = Scheduler(limits, epoch, drafter)
        self._requests = Requests(self._scheduler, vocabulary, limits.context_length, choose_seed, keep)
        self._busy = BusyWindow(limits.num_stages, now())
        self._busy_lock = threading.Lock()
        self._request_ids = itertools.count(1)
        self._patience_s = patience_s
        self._pause: Pause | None = None  # is wanted, and something is under way still
        self._held_until_s: float | None = None  # requests wait for a newer epoch; None: they do not
        self._outages = Outages()
        self._stopping = self._closed = self._is_refusing = False
        self._closing_lock = threading.Lock()  # no event is put after the last one was taken

    def run(self) -> None:
        """Serves until `stop`; all requests have ended when it returns."""
        try:
            while not self._stopping:
                try:
                    held_until_s = self._fill()
                    self._requests.send()  # after the stages have work again
                    event = self._next_event(held_until_s)
                    if event is not None:
                        self._settle(event)
                except Exception as error:  # a bug of ours ends an epoch, not the cluster
                    _log.exception("the engine failed")
                    self._lose(StageFailure(None, self._scheduler.epoch, f"its engine failed: {error!r}"))
        finally:
            self._close()

    def submit(
        self,
        tokens: Sequence[int],
        params: SamplingParams | None,
        sink: Sink,
        client: str = "",
        pooling: Pooling | None = None,
        scales: tuple[float, ...] = (),
        begun: tuple[int, ...] = (),
        ticket: bytes = b"",
        pictures: tuple[PictureRows, ...] = (),
    ) -> int:
        """Asks for a text, or where `params` is None for a vector, or for logits.

        Returns the request id; never raises.

        `client` names who asks: clients share slots and queue evenly. `scales` as in Microbatch. `begun`: the tokens
        of a text whose engine is gone; no room in the queue is asked of it, since it had its place. `ticket` and
        `pictures` as in NewRequest.
        """
        asked = (tuple(tokens), params, sink, self._now(), client, pooling, scales, begun, ticket, pictures)
        new = NewRequest(next(self._request_ids), *asked)
        if not self._put(new):
            send(sink, stopped_error())
        return new.request_id

    def cancel(self, request_id: int) -> None:
        """Ends a request soon; its slot is dropped with the next microbatch. Unknown ids are ignored."""
        self._put(Cancel(request_id))

    def deliver(self, event: StepResult | StepTiming) -> None:
        """What the stages send back. Old epochs, unknown steps and duplicates are dropped."""
        self._put(event)

    def fail(self, failure: StageFailure) -> None:
        """A stage is lost. A failure of an older epoch is dropped, one of a newer epoch counts once that begins."""
        self._put(failure)

    def cut(self, failure: StageFailure) -> None:
        """The same of a connection: whether the stage has died, too, shows with the next `reset`."""
        self._put(LinkBroke(failure))

    def reset(self, reset: Reset) -> None:
        """The stages are wired anew; what they hold no more is computed again. An epoch not newer is ignored."""
        self._put(reset)

    def pause(self, why: str, timeout_s: float) -> None:
        """Ends what is under way and holds all requests until `reset`; from a thread that may wait for so long."""
        has_paused = threading.Event()
        if self._put(Pause(why, has_paused)):
            has_paused.wait(timeout_s)

    def expect(self) -> None:
        """The stages are on their way back: patience with them begins anew."""
        self._put(Progress())

    def wake(self) -> None:
        """Guesses are there that were asked of a drafter elsewhere."""
        self._put(Drafted())

    def refuse(self) -> None:
        """Takes no new request any more; those that are open go on."""
        self._is_refusing = True

    def stop(self) -> None:
        """Ends all requests and `run`."""
        self._put(Stop())

    def snapshot(self) -> Snapshot:
        """Figures of this moment; each is right, though they may be a step apart."""
        with self._busy_lock:
            activities = self._busy.activities(self._now())
        return Snapshot(
            epoch=self._scheduler.epoch,
            failure=self._outages.cause,
            num_slots_used=self._scheduler.num_slots_used,
            num_waiting=self._scheduler.num_waiting,
            num_in_flight=self._scheduler.num_in_flight,
            num_requests=self._requests.num_ended,
            num_tokens=self._requests.num_tokens,
            num_drafted=self._scheduler.speculation.num_drafted,
            num_accepted=self._scheduler.speculation.num_accepted,
            num_dropped_runs=self._scheduler.speculation.num_dropped_runs,
            stages=activities,
            is_holding=self._held_until_s is not None,
            is_on_purpose=self._outages.is_on_purpose,
            outages=self._outages.figures(self._now()),
        )

    def slots(self) -> tuple[SlotStatus, ...]:
        """What each slot is used for now, by id; as right as `snapshot`."""
        used = self._requests.slots(self._now())
        return tuple(used.get(slot, SlotStatus(slot)) for slot in range(self._num_slots))

    @property
    def failure(self) -> StageFailure | None:
        """Why requests are refused; None when ready."""
        return self._outages.cause

    def timings(self, stage: int) -> tuple[StepTiming, ...]:
        """The latest steps of a stage, on that stage's clock."""
        with self._busy_lock:
            return self._busy.timings(stage)

    def _next_event(self, until_s: float | None) -> Event | None:
        """None if there is none until then."""
        try:
            return self._inbox.get(timeout=None if until_s is None else max(0.0, until_s - self._now()))
        except queue.Empty:
            return None

    def _fill(self) -> float | None:
        """Sends what can be sent now. Until when something was held back; None if nothing was."""
        has_sent = False
        now_s = self._now()
        if self._pause is not None and not self._scheduler.num_in_flight:
            self._stand_still(self._pause)
        while self._may_send and (microbatch := self._scheduler.next_batch(now_s)) is not None:
            try:
                self._stages.submit(microbatch)
                has_sent = True
            except ClusterError as error:
                self._lose(StageFailure(0, self._scheduler.epoch, str(error)), is_cut=True)
            now_s = self._now()
        if self._outages.cause is not None:
            return self._hold(self._outages.cause, now_s)
        hold_s = self._scheduler.hold_s(now_s)  # at the moment at which there was nothing to send
        if has_sent:
            self._stages.flush()
        return now_s + hold_s if hold_s else None

    @property
    def _may_send(self) -> bool:
        return self._outages.cause is None and self._pause is None

    def _stand_still(self, pause: Pause) -> None:
        """Nothing is under way: all that was computed is told, and no request can be blamed for anything."""
        cause = StageFailure(None, self._scheduler.epoch, pause.why)
        self._begin_outage(cause, max(self._patience_s, MOST_PAUSE_S), is_cut=True, is_on_purpose=True)

    def _hold(self, failure: StageFailure, now_s: float) -> float | None:
        """Until when requests are held; None once they have ended."""
        if self._held_until_s is not None and now_s >= self._held_until_s:
            self._held_until_s = None
            self._requests.end_all(lambda: lost_error(failure))
        return self._held_until_s

    def _settle(self, event: Event) -> None:
        match event:
            case StepResult():
                self._complete(event)
            case StepTiming():
                self._scheduler.learn(event)
                with self._busy_lock:
                    self._busy.record(event, self._now())
            case NewRequest():
                if self._is_refusing:
                    send(event.sink, stopped_error())
                elif self._outages.cause is not None and self._held_until_s is None:
                    send(event.sink, lost_error(self._outages.cause))
                else:
                    self._requests.open(event, self._now())
            case Cancel():
                self._requests.cancel(event.request_id, self._now())
            case StageFailure():
                self._lose(event)
            case LinkBroke():
                self._lose(event.failure, is_cut=True)
            case Reset():
                self._restart(event)
            case Progress():
                if self._held_until_s is not None:
                    self._held_until_s = max(self._held_until_s, self._now() + self._patience_s)
            case Drafted():
                pass  # what waits for it is sent next
            case Pause():
                if self._outages.cause is None:
                    self._pause = event
                else:
                    event.has_paused.set()
            case Stop():
                self._stopping = True

    def _complete(self, result: StepResult) -> None:
        try:
            self._check_vocabulary(result)
            now_s = self._now()
            outcomes = self._scheduler.complete(result, now_s)
        except ClusterError as error:
            self._lose(StageFailure(self._num_stages - 1, result.id.epoch, str(error)))
            return
        for outcome in outcomes:
            self._requests.advance(outcome, now_s)

    def _check_vocabulary(self, result: StepResult) -> None:
        if result.logits is not None and result.logits.shape[1:] != (self._vocab_size,):
            raise ClusterError(f"step result: logits of shape {result.logits.shape}; report a bug")
        for sampled in result.sampled:
            if not 0 <= sampled.token < self._vocab_size:
                raise ClusterError(f"step result: token {sampled.token} is not in the vocabulary; report a bug")

    def _lose(self, failure: StageFailure, *, is_cut: bool = False) -> None:
        if self._outages.is_begun_by(failure, self._scheduler.epoch):
            self._begin_outage(self._find_cause(failure), self._patience_s, is_cut=is_cut)

    def _begin_outage(
        self, cause: StageFailure, patience_s: float, *, is_cut: bool, is_on_purpose: bool = False
    ) -> None:
        self._outages.begin(self._now(), cause, is_cut=is_cut, is_on_purpose=is_on_purpose)
        self._held_until_s = self._now() + patience_s
        self._scheduler.interrupt()
        self._end_pause()

    def _end_pause(self) -> None:
        pause, self._pause = self._pause, None
        if pause is not None:
            pause.has_paused.set()

    def _restart(self, reset: Reset) -> None:
        if reset.epoch > self._scheduler.epoch:
            self._end_pause()
            cause, nobody_died = self._outages.cause, self._outages.is_cut and reset.are_same
            replay = self._scheduler.reset(reset.epoch, reset.costs, reset.holdings, nobody_died=nobody_died)
            if replay.num_tokens:
                _log.warning("epoch %d: %s", reset.epoch, replay)
            early = self._outages.end(self._now(), replay.num_tokens)
            self._requests.rewind()
            if cause is not None:
                self._requests.end_suspects(lambda: lost_error(cause, AGAIN))
            self._held_until_s = None
            if early is not None:
                self._lose(early)

    def _close(self) -> None:
        with self._closing_lock:
            self._closed = True
        self._end_pause()
        self._requests.end_all(stopped_error)
        self._requests.send()
        while not self._inbox.empty():
            event = self._inbox.get()
            if isinstance(event, NewRequest):
                send(event.sink, stopped_error())
            elif isinstance(event, Pause):
                event.has_paused.set()

    def _put(self, event: Event) -> bool:
        with self._closing_lock:
            if not self._closed:
                self._inbox.put(event)
            return not self._closed


def lost_error(failure: StageFailure, when: str = "") -> UnreachableError:
    """What requests end with that a failure ends."""
    reason = " ".join(failure.reason.split())  # a message is one line
    reason = f"{reason}, {when}" if when else reason
    advice = "ask again in a few seconds; what does not come back by itself, `cluster up` repairs"
    if failure.stage is None:
        return UnreachableError(f"coordinator: {reason}; {advice}")
    return StageLostError(f"stage {failure.stage}: lost: {reason}; {advice}")


def stopped_error() -> UnreachableError:
    """What requests end with when the cluster is taken down."""
    return UnreachableError("cluster: it is shutting down; `cluster up` starts it again")
