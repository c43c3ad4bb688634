"""What would have to change for a model to fit, each change computed by itself; and when a split is the wrong thing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from cluster.api.errors import UsageError
from cluster.engine.cost.forecast import Forecast
from cluster.planning.inventory import Inventory
from cluster.planning.layout import Layout, Layouts
from cluster.planning.leaving_out import WithoutNode
from cluster.planning.measure.dry_run import Context
from cluster.planning.search.placement import DeviceOffer
from cluster.planning.whole import WholeReport

CONTEXT_GRAIN = 64
SMALLER_CACHES = (("q8_0", "q8_0"), ("q4_0", "q4_0"))
MAX_MORE_NODES = 16
MOST_TOLD = 3  # nodes that are told of one by one
SHOWN_MS = 0.05  # less is not printed
GIB = 2**30


def advise(
    inventory: Inventory,
    layouts: Layouts,
    offers: Sequence[DeviceOffer],
    layout: Layout,
    speed: Forecast,
    whole: Sequence[WholeReport],
    without: Sequence[WithoutNode] = (),
) -> tuple[str, ...]:
    """One sentence per way out; the first ones are best."""
    lines = [*_better_whole(layout, speed, whole, without), *_slowing(layout, speed, without)]
    if layout.fits:
        return tuple(lines)
    context = inventory.context
    ways = (
        _fewer_tokens(context, lambda changed: layouts.fits(offers, changed)),
        _fewer_slots(context, lambda changed: layouts.fits(offers, changed)),
        _smaller_cache(context, lambda changed: layouts.fits(offers, changed)),
        _more_nodes(inventory, layouts, offers),
    )
    lines += [way for way in ways if way]
    return tuple(lines or [_hopeless(inventory, layout)])


def _better_whole(
    layout: Layout, speed: Forecast, whole: Sequence[WholeReport], without: Sequence[WithoutNode]
) -> list[str]:
    """Where the model fits on one device and is faster there, by the figures that are shown."""
    fitting = [item for item in whole if item.fits]
    if len(layout.offers) == 1 or not fitting:
        return []
    best = max(fitting, key=lambda item: item.all_slots_tokens_per_s)
    device = f"{best.node}:{best.device}"
    if any(less.devices == (device,) and less.is_faster_than(speed) for less in without):
        return []  # that says by what, too
    pairs = {
        "for one request": (best.one_request_tokens_per_s, speed.one_request_tokens_per_s),
        "with all slots": (best.all_slots_tokens_per_s, speed.all_slots_tokens_per_s),
    }
    better = [_instead(name, *pair) for name, pair in pairs.items() if _shown(pair[0]) > _shown(pair[1])]
    if not better:
        return []
    others = [_instead(name, *pair) for name, pair in pairs.items() if _shown(pair[0]) <= _shown(pair[1])]
    how = "--stages 1" if len({offer.node for offer in layout.offers}) == 1 else f"--devices {device}"
    copies = f", or as {len(fitting)} replicas, one on each device" if len(fitting) > 1 else ""
    return [
        f"serve it whole: it takes {_gib(best.total_bytes)} and fits on {best.name} ({_gib(best.usable_bytes)} usable) "
        f"with {how}{copies}. That is faster {' and '.join(better)}{''.join(f'; not {other}' for other in others)}"
    ]


def _slowing(layout: Layout, speed: Forecast, without: Sequence[WithoutNode]) -> list[str]:
    """The nodes without which the others are faster, and what each of them adds to a token; the worst first."""
    faster = [less for less in without if layout.fits and less.is_faster_than(speed)]
    faster.sort(key=lambda less: -less.one_request_tokens_per_s)
    lines = []
    for less in faster[:MOST_TOLD]:
        pairs = (
            ("for one request", less.one_request_tokens_per_s, speed.one_request_tokens_per_s),
            ("with all slots", less.all_slots_tokens_per_s, speed.all_slots_tokens_per_s),
        )
        rates = " and ".join(f"{alone:.1f} tokens/s {name} instead of {now:.1f}" for name, alone, now in pairs)
        lines.append(f"leave out {less.node}: {rates} with --devices {','.join(less.devices)}; {_adds(less)}")
    if more := faster[MOST_TOLD:]:
        lines.append(f"leaving out one of {', '.join(less.node for less in more)} is faster, too: see -o json")
    return lines


def _adds(less: WithoutNode) -> str:
    """By what it makes a token later, or that it does not."""
    link = f"its link to {less.neighbour} takes {less.round_trip_ms:.1f} ms there and back"
    parts = (
        (less.more_messages_ms, f"messages take {less.more_messages_ms:.1f} ms more ({link})"),
        (less.more_computing_ms, f"computing takes {less.more_computing_ms:.1f} ms more"),
        (-less.more_computing_ms, f"computing takes {-less.more_computing_ms:.1f} ms less"),
    )
    more_ms = less.more_messages_ms + less.more_computing_ms
    if more_ms <= SHOWN_MS:
        return f"{less.node} adds nothing to a token of one request, but with all slots the others wait for it"
    told = " and ".join(text for part_ms, text in parts if part_ms > SHOWN_MS)
    return f"{less.node} adds {more_ms:.1f} ms to a token: {told}"


def _instead(name: str, whole: float, split: float) -> str:
    return f"{name} ({whole:.1f} tokens/s instead of {split:.1f})"


def _shown(tokens_per_s: float) -> float:
    """As it is printed: what looks equal is."""
    return round(tokens_per_s, 1)


def _fewer_tokens(context: Context, fits: Callable[[Context], bool]) -> str | None:
    most = largest(context.n_ctx // CONTEXT_GRAIN, lambda grains: fits(replace(context, n_ctx=grains * CONTEXT_GRAIN)))
    if not most or most * CONTEXT_GRAIN >= context.n_ctx:
        return None
    return f"context: it fits with --ctx-size {most * CONTEXT_GRAIN} instead of {context.n_ctx}"


def _fewer_slots(context: Context, fits: Callable[[Context], bool]) -> str | None:
    most = largest(context.n_slots - 1, lambda slots: fits(replace(context, n_slots=slots)))
    return f"slots: it fits with -np {most} instead of {context.n_slots}" if most else None


def _smaller_cache(context: Context, fits: Callable[[Context], bool]) -> str | None:
    for type_k, type_v in SMALLER_CACHES:
        changed = replace(context, type_k=type_k, type_v=type_v)
        try:
            if changed != context and fits(changed):
                old = f"{context.type_k} and {context.type_v}"
                return f"KV type: it fits with -ctk {type_k} -ctv {type_v} instead of {old}"
        except UsageError:  # heads that are no multiple of the type's block, or no flash attention
            continue
    return None


def _more_nodes(inventory: Inventory, layouts: Layouts, offers: Sequence[DeviceOffer]) -> str | None:
    """Nodes like the one of the last stage, each with one stage more."""
    like = offers[-1]
    for count in range(1, MAX_MORE_NODES + 1):
        if len(offers) + count > len(inventory.cuts) + 1:
            return None
        more = [replace(like, node=f"node-{number + 2}") for number in range(count)]
        if layouts.fits([*offers, *more], inventory.context):
            nodes = "node" if count == 1 else "nodes"
            return (
                f"nodes: it fits in {len(offers) + count} stages with {count} more {nodes} "
                f"of {_gib(like.memory_bytes)} free memory (as {like.name} has)"
            )
    return None


def _hopeless(inventory: Inventory, layout: Layout) -> str:
    missing = sum(memory.total_bytes for memory in layout.memory) - sum(
        usable
        for usable in dict(zip((offer.name for offer in layout.offers), layout.usable_bytes, strict=True)).values()
    )
    return (
        f"memory: {_gib(max(missing, 0))} are missing in all; neither context, slots, KV type nor {MAX_MORE_NODES} "
        f"more nodes alone change that ({len(inventory.cuts) + 1} stages are the most): use a smaller quantisation"
    )


def largest(high: int, fits: Callable[[int], bool]) -> int:
    """The largest number in [1, high] that fits, 0 if none does; what is smaller than one that fits, fits too."""
    low = 0
    while low < high:
        middle = (low + high + 1) // 2
        if fits(middle):
            low = middle
        else:
            high = middle - 1
    return low


def _gib(num_bytes: int) -> str:
    return f"{num_bytes / GIB:.2f} GiB"
