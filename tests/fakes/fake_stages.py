"""A pipeline without processes: stages that check every rule of the protocol, on a simulated clock.

`World` is a discrete-event simulation that serves as the engine's inbox: whenever the engine waits, the world
moves on to the next thing that happens (a stage finishes, a request arrives). A whole run is one thread,
takes no real time, and repeats exactly. The "model" is a hash, so a token depends on every token before it.
"""

from __future__ import annotations

import heapq
import itertools
import math
import queue
import random
import zlib
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from cluster.api.errors import ClusterError, UnreachableError
from cluster.api.results import FinishReason, Timings, TokenEvent
from cluster.api.sampling import SamplingParams
from cluster.engine.events import Embedding, Event, LogitsRows, Output, Stop, is_last
from cluster.engine.limits import Limits
from cluster.engine.sequence import Sequence
from cluster.messages.stage import Holdings, StageFailure
from cluster.messages.step import Microbatch, SampledToken, SlotFailure, SlotStart, StepResult, StepTiming

END_TOKEN = 0
NAMES = {0: b"<end>", 13: b"<mark>"}  # of control tokens
# A request with this penalty cannot be sampled after so many tokens; the stages hold its rows.
UNSAMPLEABLE = 50.0
UNSAMPLEABLE_LENGTH = 17
# A row with this token cannot be computed by a stage that is told so.
FAULTY_TOKEN = 5


class FakeVocabulary:
    """Few tokens: parts of characters, broken bytes, empty ones, and some that make up stop strings."""

    _pieces = (
        b"",
        *(bytes([c]) for c in b"abcdefgh .\n"),
        b"ab",
        b"stop",
        b"",
        b"\xc3",
        b"\xa9",
        b"\xe6\xbc",
    )
    _pieces += (b"\xa2", b"\xf0\x9f", b"\x98\x80", b"\xff", "\u00e9t\u00e9".encode(), b"top", b"\xed\xa0\x80")

    @property
    def num_tokens(self) -> int:
        return len(self._pieces)

    @property
    def end_tokens(self) -> frozenset[int]:
        return frozenset({END_TOKEN})

    def token_bytes(self, token: int, render_special: bool = False) -> bytes:
        return NAMES.get(token, b"") if render_special and token in NAMES else self._pieces[token]


VOCABULARY = FakeVocabulary()


def next_token(seed: int, tokens: list[int]) -> int:
    """The model: a pure function of the seed and of all tokens so far."""
    return zlib.crc32(np.array([seed, *tokens], dtype=np.int64).tobytes()) % VOCABULARY.num_tokens


def logits_row(tokens: list[int]) -> np.ndarray:
    """[V] float32: the model's logits after these tokens."""
    first = zlib.crc32(np.array(tokens, dtype=np.int64).tobytes())
    return ((first + 7919 * np.arange(VOCABULARY.num_tokens)) % 1009).astype(np.float32)


def score_of(row: int, slot: int, token: int, tokens: list[int], num_top: int | None) -> SampledToken:
    """What the model thinks of `token` after these tokens."""
    logits = logits_row(tokens).astype(np.float64)
    logprobs = logits - logits.max() - np.log(np.exp(logits - logits.max()).sum())
    best = np.argsort(-logits, kind="stable")[: num_top or 0].tolist()
    top = tuple((one, float(logprobs[one])) for one in best)
    return SampledToken(row, slot, token, float(logprobs[token]), top)


@dataclass
class Alone:
    """What one request gives when nothing else runs, worked out without any of the engine's code."""

    tokens: list[int]
    text: str
    reason: FinishReason


def alone(prompt: list[int], params: SamplingParams, context_length: int) -> Alone:
    tokens: list[int] = []
    while True:
        free = text_of(tokens[: params.min_tokens], params.shown_tokens).rstrip("\ufffd")  # in which nothing stops
        ends = {*params.stop_token_ids, *(() if params.ignore_eos else (END_TOKEN,))}
        is_end = len(tokens) > params.min_tokens and tokens[-1] in ends
        text = text_of(tokens[:-1] if is_end else tokens, params.shown_tokens)
        whole = text.rstrip("\ufffd")  # what a later byte cannot change
        if is_end or any(stop in whole[len(free) :] for stop in params.stop):
            return Alone(tokens, free + cut(text[len(free) :], params.stop), FinishReason.STOP)
        if params.max_tokens is not None and len(tokens) >= params.max_tokens:
            return Alone(tokens, text, FinishReason.LENGTH)
        if len(prompt) + len(tokens) >= context_length:
            return Alone(tokens, text, FinishReason.CONTEXT)
        tokens.append(next_token(params.seed or 0, [*prompt, *tokens]))


def text_of(tokens: list[int], shown: tuple[int, ...] = ()) -> str:
    return b"".join(VOCABULARY.token_bytes(token, token in shown) for token in tokens).decode(errors="replace")


def cut(text: str, stops: tuple[str, ...]) -> str:
    """The text before the stop string that is complete first."""
    for end in range(len(text) + 1):
        matching = [stop for stop in stops if text[:end].endswith(stop)]
        if matching:
            return text[: end - max(map(len, matching))]
    return text


class FakeDrafter:
    """Guesses right for a random while, and then anything."""

    def __init__(self, seed: int, max_length: int = 6) -> None:
        self._random = random.Random(seed)
        self._max_length = max_length
        self.num_guesses = 0

    def draft(self, sequence: Sequence, max_tokens: int) -> list[int]:
        assert sequence.params is not None
        length = self._random.randint(0, min(max_tokens, self._max_length))
        num_right = self._random.randint(0, length)
        tokens = [*sequence.log, *sequence.ahead]
        for _ in range(num_right):
            tokens.append(next_token(sequence.params.seed or 0, tokens))
        tokens += [self._random.randrange(VOCABULARY.num_tokens) for _ in range(length - num_right)]
        self.num_guesses += length
        return tokens[sequence.num_tokens + len(sequence.ahead) :]

    def rate(self, sequence: Sequence) -> float:
        return 1.0

    def forget(self, request_id: int) -> None:
        pass


class World:
    """The simulated clock, what is to happen, and the engine's inbox."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.readers: list[Reader] = []
        self.hung: list[Reader] = []  # not answered when nothing was left to happen
        self.before_get: Callable[[], None] = lambda: None
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._events: deque[Event] = deque()

    def at(self, time_s: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (time_s, next(self._order), action))

    def now(self) -> float:
        return self.now_s

    def put(self, event: Event) -> None:
        self._events.append(event)

    def empty(self) -> bool:
        return not self._events

    @property
    def has_result(self) -> bool:
        """A step was answered, and the engine has not heard of it yet."""
        return any(isinstance(event, StepResult) for event in self._events)

    def get(self, block: bool = True, timeout: float | None = None) -> Event:
        self.before_get()
        until_s = math.inf if timeout is None else self.now_s + timeout
        while not self._events:
            if until_s < (self._agenda[0][0] if self._agenda else math.inf):
                self.now_s = until_s
                raise queue.Empty
            if not self._agenda:
                self.hung = [reader for reader in self.readers if not reader.ended]
                return Stop()
            self.now_s, _, action = heapq.heappop(self._agenda)
            action()
        return self._events.popleft()

    def reader(self) -> Reader:
        self.readers.append(Reader(self))
        return self.readers[-1]


@dataclass
class Reader:
    """A sink that keeps what it is told, and insists on exactly one last output."""

    world: World
    outputs: list[Output] = field(default_factory=list)
    ended: bool = False
    ended_s: float | None = None
    times_s: list[float] = field(default_factory=list)  # of the outputs

    def __call__(self, output: Output) -> None:
        assert not self.ended, f"an output after the last one: {output}"
        self.outputs.append(output)
        self.times_s.append(self.world.now_s)
        if is_last(output):
            self.ended, self.ended_s = True, self.world.now_s

    @property
    def events(self) -> list[TokenEvent]:
        return [output for output in self.outputs if isinstance(output, TokenEvent)]

    @property
    def tokens(self) -> list[int]:
        return [event.token for event in self.events if event.token is not None]

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.events)

    @property
    def reason(self) -> FinishReason | None:
        return self.events[-1].finish_reason if self.events else None

    @property
    def timings(self) -> Timings | None:
        return self.events[-1].timings if self.events else None

    @property
    def error(self) -> ClusterError | None:
        last = self.outputs[-1]
        return last if isinstance(last, ClusterError) else None

    @property
    def vector(self) -> np.ndarray:
        """[V]; it is the only answer."""
        (output,) = self.outputs
        assert isinstance(output, Embedding)
        return output.vector

    @property
    def logits(self) -> np.ndarray:
        """[T, V]; the pieces must come in order."""
        pieces = [output for output in self.outputs if isinstance(output, LogitsRows)]
        num_rows = 0
        for piece in pieces:
            assert piece.first == num_rows, "logits out of order"
            num_rows += len(piece.rows)
        return np.concatenate([piece.rows for piece in pieces])


class FakeStages:
    """S stages in a row, each with its own KV; every microbatch is checked at each of them.

    `delay_s(stage, num_rows)` is how long a step takes there. `emit` takes what the stages send back.
    """

    def __init__(
        self,
        world: World,
        num_stages: int,
        limits: Limits,
        emit: Callable[[StepResult | StepTiming], None],
        delay_s: Callable[[int, int], float] = lambda stage, num_rows: 1.0,
        repeats_results: bool = False,
        faulty_stage: int | None = None,
        max_kept: int = 1000,
    ) -> None:
        """`max_kept`: rows that a stage keeps of a slot; of a longer one it keeps none."""
        self._faulty_stage = faulty_stage
        self._world = world
        self._limits = limits
        self._emit = emit
        self._delay_s = delay_s
        self._repeats_results = repeats_results
        self.num_stages = num_stages
        self._max_kept = max_kept
        self.num_computed = [0] * num_stages  # rows that each stage has computed
        self.hop_s = 0.0  # what a message takes, to each stage and back; to be set before a run in which none dies
        self.restart(0)

    def restart(self, epoch: int) -> None:
        """All stages are empty and run the new epoch."""
        self._dead = set(range(self.num_stages))
        self.stages: list[FakeStage] = [self._new_stage(stage) for stage in range(self.num_stages)]
        self._arrived: list[deque[Microbatch]] = [deque() for _ in range(self.num_stages)]
        self.revive(epoch)

    def _new_stage(self, stage: int) -> FakeStage:
        is_last, is_faulty = stage == self.num_stages - 1, stage == self._faulty_stage
        return FakeStage(self._limits, is_last, is_faulty, self._max_kept)

    def revive(self, epoch: int) -> None:
        """Those that died are empty; the others end what they compute, and hold what they held."""
        for stage, arrived in enumerate(self._arrived):
            if stage in self._dead:
                self.stages[stage] = self._new_stage(stage)
            elif arrived:
                self._run(stage, arrived[0])
            self.stages[stage].begin()
        self._dead.clear()
        self.epoch = epoch
        self.lost: str | None = None
        self._arrived = [deque() for _ in range(self.num_stages)]
        self.sent: list[Microbatch] = []
        self._free_at_s = [0.0] * self.num_stages
        self.in_flight: dict[int, Microbatch] = {}  # by lane
        self._waiting: deque[Microbatch] = deque()  # for the first stage, or for the step that they follow
        self._num_answered = 0
        self._newest: dict[int, int] = {}  # token that was sampled last, by slot

    def submit(self, microbatch: Microbatch) -> None:
        if self.lost is not None:
            raise UnreachableError(f"stage 0: {self.lost}; start it again")
        lane, step = microbatch.id.microbatch, microbatch.id.step
        assert microbatch.id.epoch == self.epoch, "a microbatch of another epoch"
        assert step == len(self.sent), f"step {step} after {len(self.sent)} steps"
        assert 0 <= lane < self._limits.max_in_flight, f"lane {lane}"
        assert lane not in self.in_flight, f"lane {lane} has two microbatches"
        after = -1 if microbatch.after is None else microbatch.after
        assert after < step, "after a step that is still to come"
        pending = set(microbatch.slots[microbatch.pending].tolist())
        for other in self.in_flight.values():
            follows = other.id.step <= after
            assert follows or not (other.exclusive or microbatch.exclusive), "not exclusive"
            going_on = set(microbatch.slots.tolist()) & set(other.slots[other.samples].tolist())
            later = (mb for mb in [*self.sent, microbatch] if mb.id.step > other.id.step)
            anew = {start.slot for mb in later for start in mb.slot_starts}
            guessed = going_on if microbatch.is_guessed else set()
            assert going_on <= anew | guessed | (pending if follows else set()), "a sequence goes on without its token"
            several = {slot for slot, count in Counter(other.slots[other.samples].tolist()).items() if count > 1}
            assert not several & pending, "which of its samples does it go on with?"
        assert not pending or self.in_flight or self._world.has_result, "a token is known, and not told"
        self.sent.append(microbatch)
        self.in_flight[lane] = microbatch
        self._waiting.append(microbatch)
        self._begin_waiting()

    def flush(self) -> None:
        """Nothing is ever held back."""

    def lose(self, stage: int, reason: str) -> StageFailure:
        """A stage dies: what is in flight never comes back."""
        self.lost = reason
        self._dead.add(stage)
        return StageFailure(stage, self.epoch, reason)

    def cut(self) -> StageFailure:
        """A connection breaks, and all stages live."""
        self.lost = "its stream broke"
        return StageFailure(0, self.epoch, self.lost)

    def holdings(self) -> tuple[Holdings, ...]:
        """Of the stages, before any step of the epoch."""
        return tuple(stage.holdings for stage in self.stages)

    def _begin_waiting(self) -> None:
        while self._waiting and (self._waiting[0].after is None or self._waiting[0].after < self._num_answered):
            microbatch = self._waiting.popleft()
            tokens = microbatch.tokens.copy()
            tokens[microbatch.pending] = [self._newest[slot] for slot in microbatch.slots[microbatch.pending].tolist()]
            self._arrive(0, replace(microbatch, tokens=tokens))

    def _arrive(self, stage: int, microbatch: Microbatch) -> None:
        start_s = max(self._world.now_s + self.hop_s, self._free_at_s[stage])
        end_s = start_s + self._delay_s(stage, microbatch.num_rows)
        self._free_at_s[stage] = end_s
        self._arrived[stage].append(microbatch)
        self._world.at(end_s, lambda: self._leave(stage, microbatch, start_s, end_s))

    def _leave(self, stage: int, microbatch: Microbatch, start_s: float, end_s: float) -> None:
        if stage in self._dead or microbatch.id.epoch != self.epoch:
            return  # those that live go on until they hear of another epoch
        self._arrived[stage].popleft()
        result = self._run(stage, microbatch)
        start_ns, end_ns = round(start_s * 1e9), round(end_s * 1e9)
        if microbatch.is_computed_by(stage):
            self._emit(StepTiming(microbatch.id, stage, microbatch.num_rows, start_ns, end_ns, start_ns))
        if stage + 1 < self.num_stages:
            self._arrive(stage + 1, replace(microbatch, failures=result.failures))
            return
        self._num_answered += 1
        self._newest.update((sampled.slot, sampled.token) for sampled in result.sampled)
        self._newest.update((failure.slot, 0) for failure in result.failures)
        self._begin_waiting()
        if self.hop_s:
            self._world.at(self._world.now_s + self.hop_s, lambda: self._answer(result))
        else:
            self._answer(result)

    def _answer(self, result: StepResult) -> None:
        del self.in_flight[result.id.microbatch]
        for _ in range(2 if self._repeats_results else 1):
            self._emit(result)

    def _run(self, stage: int, microbatch: Microbatch) -> StepResult:
        if microbatch.is_computed_by(stage):
            self.num_computed[stage] += microbatch.num_rows
            return self.stages[stage].run(microbatch)
        return self.stages[stage].pass_by(microbatch, gives=microbatch.is_computed_by(stage + 1))


class FakeStage:
    """One stage's KV (the tokens of each slot) and sampling parameters, and the rules that it insists on."""

    def __init__(self, limits: Limits, is_last: bool = True, is_faulty: bool = False, max_kept: int = 1000) -> None:
        self._limits = limits
        self._is_last = is_last
        self._is_faulty = is_faulty
        self._failed: set[int] = set()  # slots that hold fewer rows than were sent; until they start anew
        self._num_steps = 0
        self.kv: dict[int, list[int]] = {}
        self._scales: dict[int, tuple[float, ...]] = {}  # that what a slot holds was computed with
        self._sampling: dict[int, SamplingParams] = {}
        self._wanted: dict[int, list[np.ndarray]] = {}  # rows of which a vector is made, by slot
        self._renewable: set[int] = set()  # slots that were cut, so that they may be another sequence's
        self._held_epoch = 0
        self._max_kept = max_kept
        self._kept: dict[int, list[int]] = {}  # the tokens of the rows that were passed on, by slot

    def begin(self) -> None:
        """A new epoch."""
        self._num_steps = 0

    @property
    def holdings(self) -> Holdings:
        kept = tuple(len(self._kept.get(slot, ())) for slot in range(self._limits.num_slots))
        return Holdings(self._held_epoch, () if self._is_last else kept)

    def pass_by(self, microbatch: Microbatch, *, gives: bool) -> StepResult:
        """Others restore these rows, which are held here; the next stage those that were kept here, if this `gives`."""
        assert microbatch.id.step == self._num_steps, "steps out of order"
        self._num_steps += 1
        self._held_epoch = microbatch.id.epoch
        for token, position, slot in self._rows(microbatch):
            assert self.kv[slot][position] == token, f"slot {slot} holds another token at {position}"
            if gives and not self._is_last:
                assert self._kept[slot][position] == token, f"slot {slot} was passed on with another at {position}"
        return StepResult(microbatch.id, (), failures=microbatch.failures)

    def run(self, microbatch: Microbatch) -> StepResult:
        assert microbatch.id.step == self._num_steps, "steps out of order"
        self._num_steps += 1
        self._held_epoch = microbatch.id.epoch
        self._check_shapes(microbatch)
        for start in microbatch.slot_starts:
            self._start(start)
            self._wanted.pop(start.slot, None)
        for slot in set(microbatch.slots.tolist()):
            known = self._scales.setdefault(slot, microbatch.scales)
            assert known == microbatch.scales, f"slot {slot} holds rows with scales {known}, not {microbatch.scales}"
        failures = self._failures(microbatch)
        histories = [[] if row[2] in failures else self._append(*row) for row in self._rows(microbatch)]
        if not self._is_last:
            return StepResult(microbatch.id, (), failures=tuple(failures.values()))
        self._take_sampling(microbatch)
        sampled = []
        for row, slot in zip(microbatch.samples.tolist(), microbatch.slots[microbatch.samples].tolist(), strict=True):
            if slot not in failures and self._can_sample(slot, histories[row]):
                sampled.append(self._sample(row, slot, histories[row]))
            else:
                failures.setdefault(slot, SlotFailure(slot, "UsageError", "stage 9: it cannot be sampled from"))
        scored = [
            score_of(row, slot, target, histories[row], self._sampling[slot].prompt_logprobs)
            for row, slot, target in zip(
                microbatch.scores.tolist(),
                microbatch.slots[microbatch.scores].tolist(),
                microbatch.targets.tolist(),
                strict=True,
            )
            if slot not in failures
        ]
        vectors = self._embed(microbatch, histories, failures) if microbatch.embeds else None
        returned = [logits_row(histories[row]) for row in microbatch.returns_logits]
        logits = np.stack(returned) if returned else None
        return StepResult(microbatch.id, tuple(sampled), logits, tuple(failures.values()), tuple(scored), vectors)

    def _embed(
        self, microbatch: Microbatch, histories: list[list[int]], failures: dict[int, SlotFailure]
    ) -> np.ndarray | None:
        """The means of what stands for hidden rows here: rows of logits."""
        slots, pools = microbatch.slots.tolist(), set(microbatch.pools.tolist())
        vectors = []
        for row, slot in enumerate(slots):
            if microbatch.wants_logits[row] and slot not in failures:
                self._wanted.setdefault(slot, []).append(logits_row(histories[row]))
            if row in pools:
                rows = self._wanted.pop(slot, [])
                vectors.append(np.mean(rows, axis=0) if rows else np.zeros(VOCABULARY.num_tokens, np.float32))
        return np.stack(vectors).astype(np.float32) if vectors else None

    def _failures(self, microbatch: Microbatch) -> dict[int, SlotFailure]:
        """Slots that an earlier stage could not compute, that this one cannot, or whose rows fail to follow."""
        failures = {failure.slot: failure for failure in microbatch.failures}
        for token, position, slot in self._rows(microbatch):
            follows = slot not in self._failed or position <= len(self.kv.get(slot, []))
            if not follows or (self._is_faulty and token == FAULTY_TOKEN):
                failures.setdefault(slot, SlotFailure(slot, "UsageError", "stage 9: a row cannot be computed"))
        self._failed |= set(failures)
        return failures

    def _check_shapes(self, microbatch: Microbatch) -> None:
        num_rows = microbatch.num_rows
        assert num_rows <= self._limits.max_batch_tokens, "too many rows"
        assert len(microbatch.returns_logits) <= self._limits.max_logits_rows, "too many rows of logits"
        for rows in (microbatch.tokens, microbatch.positions, microbatch.slots):
            assert rows.dtype == np.int32, "not int32"
            assert rows.shape == (num_rows,), "not one per row"
        assert microbatch.wants_logits.dtype == np.bool_
        assert microbatch.wants_logits.shape == (num_rows,)
        assert (np.diff(microbatch.slots) >= 0).all(), "slots not sorted"
        assert len(microbatch.scores) == len(microbatch.targets) <= self._limits.max_scored_rows, "too many to score"
        for asked in (microbatch.samples, microbatch.returns_logits, microbatch.scores):
            assert asked.dtype == np.int32
            assert (np.diff(asked) > 0).all(), "rows not ascending"
            assert microbatch.wants_logits[asked].all(), "a row is asked for that wants no logits"
        if microbatch.embeds:
            asked_too = (microbatch.samples, microbatch.returns_logits, microbatch.scores)
            assert not any(map(len, asked_too)), "logits and vectors in one"
        else:
            assert not len(microbatch.pools), "vectors of a microbatch that does not embed"
        assert num_rows, "nothing to do"
        for slot in set(microbatch.slots.tolist()):
            rows_of_slot = np.flatnonzero(microbatch.slots == slot).tolist()
            samples_of_slot = [row for row in microbatch.samples.tolist() if row in rows_of_slot]
            last_rows = rows_of_slot[len(rows_of_slot) - len(samples_of_slot) :]
            assert samples_of_slot == last_rows, "a row that samples has one behind it that does not"
        started = [start.slot for start in microbatch.slot_starts]
        assert len(set(started)) == len(started), "a slot starts twice"
        assert set(started) <= set(microbatch.slots.tolist()), "a slot starts without rows"

    def _start(self, start: SlotStart) -> None:
        assert 0 <= start.slot < self._limits.num_slots, f"slot {start.slot}"
        source = self.kv.get(start.source, [])
        assert start.length <= len(source), f"slot {start.source} does not hold {start.length} tokens"
        self.kv[start.slot] = source[: start.length]
        self._kept[start.slot] = self._kept.get(start.source, [])[: start.length]
        if start.length:
            self._scales[start.slot] = self._scales[start.source]
        else:
            self._scales.pop(start.slot, None)
        self._failed.discard(start.slot)
        if start.slot == start.source and start.length:
            self._renewable.add(start.slot)  # they stay, though others may come
        else:
            self._sampling.pop(start.slot, None)

    def _take_sampling(self, microbatch: Microbatch) -> None:
        sampled = set(microbatch.slots[[*microbatch.samples.tolist(), *microbatch.scores.tolist()]].tolist())
        rows = list(zip(microbatch.slots.tolist(), microbatch.positions.tolist(), strict=True))
        for new in microbatch.new_sampling:
            is_again = any(slot == new.slot and position >= new.num_prompt_tokens for slot, position in rows)
            assert new.slot in sampled or is_again, "sampling parameters without a sample"
            assert new.slot not in self._sampling or new.slot in self._renewable, "sampling parameters came twice"
            assert new.params.seed is not None, "no seed"
            self._sampling[new.slot] = new.params
            self._renewable.discard(new.slot)

    def _rows(self, microbatch: Microbatch) -> list[tuple[int, int, int]]:
        columns = (microbatch.tokens, microbatch.positions, microbatch.slots)
        return list(zip(*(column.tolist() for column in columns), strict=True))

    def _append(self, token: int, position: int, slot: int) -> list[int]:
        assert 0 <= slot < self._limits.num_slots, f"slot {slot}"
        assert 0 <= token < VOCABULARY.num_tokens, f"token {token}"
        history = self.kv.setdefault(slot, [])
        assert position == len(history), f"slot {slot}: position {position} after {len(history)} rows"
        assert position < self._limits.context_length, "past the end of the context"
        history.append(token)
        if len(self._kept.setdefault(slot, [])) == position:
            self._kept[slot].append(token)
            if position >= self._max_kept:
                self._kept[slot].clear()
        return list(history)

    def _can_sample(self, slot: int, history: list[int]) -> bool:
        is_marked = slot in self._sampling and self._sampling[slot].presence_penalty == UNSAMPLEABLE
        return not (self._is_last and is_marked and len(history) >= UNSAMPLEABLE_LENGTH)

    def _sample(self, row: int, slot: int, history: list[int]) -> SampledToken:
        assert slot in self._sampling, f"slot {slot} has no sampling parameters"
        token = next_token(self._sampling[slot].seed or 0, history)
        return SampledToken(row, slot, token, logprob=-float(len(history)))
