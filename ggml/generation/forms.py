"""Which programs make texts: what each of their inputs is for, and how many tokens they take. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from ggml.core.errors import ArgumentError
from ggml.programs.expressions import Extent, Symbol
from ggml.programs.graph import Graph, Input, Ref, Role, read_by
from ggml.programs.slices.joint import Meaning
from ggml.programs.slices.lifetimes import lifetimes
from ggml.programs.writing import writes_in_place

_TAKES = "takes {}; generation gives int64 token ids [batch, tokens], and positions [tokens] where there is a cache"


@dataclass(frozen=True, slots=True)
class TextForm:
    """What a program takes that gives logits of token ids."""

    ids: str  # the input [batch, tokens]
    positions: tuple[str, ...]  # inputs [tokens], [1, tokens] or [batch, tokens]
    batch: Extent
    count: Extent  # of tokens
    num_rows: int | None  # the batch that it takes; None for any
    least_tokens: int  # of one call
    most_tokens: int | None  # None for any
    context_length: int | None  # None where it does not tell
    keeps: bool  # whether it remembers the tokens before

    def symbols(self, graph: Graph, num_rows: int, num_tokens: int) -> tuple[int, ...] | None:
        """The extents of a call with so many rows and tokens; None where the graph has others than these two."""
        known: dict[Meaning, int] = {"batch": num_rows, "count": num_tokens}
        meanings = self.meanings(graph)
        return None if meanings is None else tuple([known[one] for one in meanings])

    def meanings(self, graph: Graph) -> tuple[Meaning, ...] | None:
        """What each extent is that a call brings; None where the graph has others than these two."""
        known: dict[Extent, Meaning] = {self.batch: "batch", self.count: "count"}
        found = [known.get(Symbol(place)) for place in range(len(graph.symbols))]
        return tuple([one for one in found if one is not None]) if None not in found else None


def text_form(graph: Graph) -> TextForm:
    """What the program of this graph takes. ArgumentError for one that takes something else."""
    users = graph.users
    tensors = [one for one in users if one.spec is not None]
    candidates = [one for one in tensors if _is_integer(one, 2)]
    if not candidates:
        raise _other(users)
    ids = next((one for one in candidates if one.name == "input_ids"), candidates[0])
    assert ids.spec is not None
    batch, count = ids.spec.shape
    for one in tensors:
        assert one.spec is not None
        is_positions = one.spec.dtype.is_integer and one.spec.shape in ((count,), (1, count), (batch, count))
        if one is not ids and not is_positions:
            raise _other(users)
    keeps = any(one.role is Role.STATE for one in graph.inputs)
    low, high = _range(graph, count)
    if keeps and low > 1:
        why = f"takes {low} tokens and more at once; export it with a length that may be 1"
        raise ArgumentError("generate", "the program", why)
    return TextForm(
        ids=ids.name,
        positions=tuple([one.name for one in tensors if one is not ids]),
        batch=batch,
        count=count,
        num_rows=_only(graph, batch),
        least_tokens=low,
        most_tokens=high,
        context_length=_cache_length(graph) if keeps else high,
        keeps=keeps,
    )


def keeps_by_position(graph: Graph, form: TextForm) -> bool:
    """Whether what the program remembers of a token lies at the token's own place in its states, and nowhere else.

    Then a text may be cut short and continued otherwise: what lies behind its end is written over before any token may
    look at it. A state that nothing reads remembers nothing.
    """
    anew, writes = lifetimes(graph).anew, writes_in_place(graph)
    named = {value: one.name for value, one in enumerate(graph.inputs)}
    states = {value for value, one in enumerate(graph.inputs) if one.role is Role.STATE}
    for value, node in enumerate(graph.nodes, len(graph.inputs)):
        for read in read_by(node):
            if read in states and value not in writes:
                return False
    return all(_follows_from(graph, write.places, named, set(form.positions), anew) for write in writes.values())


def _follows_from(graph: Graph, given: Ref, named: dict[int, str], wanted: set[str], anew: frozenset[int]) -> bool:
    """Whether a value follows from these inputs, and from no other one."""
    waiting, found = [given.value], set()
    while waiting:
        value = waiting.pop()
        if value in named:
            found.add(named[value])
        elif value in anew:
            waiting += read_by(graph.nodes[value - len(graph.inputs)])
        else:
            return False
    return bool(found) and found <= wanted


def _is_integer(one: Input, rank: int) -> bool:
    return one.spec is not None and one.spec.dtype.is_integer and len(one.spec.shape) == rank


def _other(users: list[Input]) -> ArgumentError:
    listed = ", ".join(f"{one.name} of {len(one.spec.shape)} axes" if one.spec else one.name for one in users)
    return ArgumentError("generate", "the program", _TAKES.format(listed or "nothing"))


def _range(graph: Graph, extent: Extent) -> tuple[int, int | None]:
    """The least and the most that an extent may be; None where there is no end to it."""
    if isinstance(extent, int):
        return extent, extent
    if not isinstance(extent, Symbol):
        raise ArgumentError("generate", "the program", "takes as many tokens as a sum or a product says")
    symbol = graph.symbols[extent.place]
    return symbol.low, symbol.high if symbol.high < 1 << 31 else None


def _only(graph: Graph, extent: Extent) -> int | None:
    low, high = _range(graph, extent)
    return low if low == high else None


def _cache_length(graph: Graph) -> int | None:
    """Tokens that the caches [batch, heads, tokens, width] hold; None where they differ, or have another form."""
    shapes = [one.spec.shape for one in graph.inputs if one.role is Role.STATE and one.spec is not None]
    lengths = {shape[2] for shape in shapes if len(shape) == 4}
    found = lengths.pop() if len(lengths) == 1 else None
    return found if isinstance(found, int) else None
