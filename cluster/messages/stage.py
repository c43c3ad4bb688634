"""What a stage and its neighbours say of themselves when they meet, and when one is lost."""

from __future__ import annotations

from dataclasses import dataclass

PROTOCOL_VERSION = 14
# What is said as the type of hidden rows: those of a model, or named arrays of any type, of a program.
F32, ARRAYS = "f32", "arrays"


@dataclass(frozen=True, slots=True)
class Hello:
    """First message on every stage stream. Both ends must agree on all fields but those marked."""

    protocol_version: int
    model_hash: str  # hex sha256 of the source model's fingerprint
    build: str  # names the library that computes the stages
    epoch: int
    stage: int  # number of the stage that serves the stream
    num_stages: int
    first: int  # layers [first, end) of the stage that serves the stream
    end: int
    hidden_width: int
    wire_dtype: str  # F32 or ARRAYS
    num_slots: int
    context_length: int  # per slot, in tokens


@dataclass(frozen=True, slots=True)
class StageAddress:
    """Where a stage listens, and what to say there. Set by whoever wires the stages."""

    address: str  # host:port
    hello: Hello
    node: str = ""  # the name of the node that it is on; "" where there is one machine only


@dataclass(frozen=True, slots=True)
class Callers:
    """The nodes from which a stage's streams may come, by name; "" where that is not known."""

    upstream: str = ""  # of the stage before, for the first one the coordinator's
    coordinator: str = ""
    first: str = ""  # of the first stage, which hears what the last one samples


@dataclass(frozen=True, slots=True)
class Wiring:
    """An epoch for one stage: which streams it opens, and who may open some to it. Set by whoever wires the stages."""

    hello: Hello  # the stage's own
    downstream: StageAddress | None = None  # the next stage; None for the last one
    last: StageAddress | None = None  # the last stage, for the first one if that is another
    callers: Callers = Callers()


@dataclass(frozen=True, slots=True)
class StageCosts:
    """What steps take on a stage, as it measured them when it was loaded. Set by the stage."""

    decode_ms: tuple[tuple[int, float], ...] = ()  # (rows, ms): a row of each of so many slots; () is unknown
    # The same with the cores that it may use while no other stage computes; () if those are no more.
    exclusive_ms: tuple[tuple[int, float], ...] = ()

    @classmethod
    def of(cls, decode_ms: tuple[tuple[int, float], ...], speedup: float) -> StageCosts:
        """Where lent cores were not free when it was measured: all of them are taken to be of use."""
        exclusive_ms = tuple((rows, took_ms / speedup) for rows, took_ms in decode_ms) if speedup > 1 else ()
        return cls(decode_ms, exclusive_ms)


@dataclass(frozen=True, slots=True)
class Holdings:
    """What a stage holds in its slots when an epoch begins, before any step of it. Set by the stage."""

    epoch: int  # the newest of which it has taken a step, and all before that; 0: the slots are empty
    # Of each slot, so many hidden rows from the first on, as it passed them on, are kept; () where none ever are.
    kept: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class StageFailure:
    """An epoch cannot go on. Set by the stage that noticed, or by the coordinator when a stream broke."""

    stage: int | None  # None: it was the coordinator's own fault; no stage says so
    epoch: int
    reason: str
