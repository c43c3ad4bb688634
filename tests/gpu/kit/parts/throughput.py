"""Clusters on one device beside llama.cpp there: in one process, and over its RPC on loopback. Runs are interleaved."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tests.gpu.kit.case import Case
from tests.gpu.kit.finding import Tell, figure, not_run
from tests.gpu.kit.settings import Settings

if TYPE_CHECKING:
    from cluster.bench.measure import Sample
    from cluster.bench.workload import Workload

MIXED = "1b:Q4_K"
ROUNDS = 5
USED_SHARE = 0.85  # of the device's free memory, and of a case's time
ONE_PROCESS, RPC = "llama.cpp, one process", "llama.cpp RPC, 2 servers"
# What is claimed for two stages on separate streams of one card, with eight sequences.
TARGET_RATIO, TARGET_OVERHEAD_MS = 0.9, 0.5


@dataclass(frozen=True, slots=True)
class Contestant:
    """`run` gives the seconds of one run, and the steps that the stages recorded of it."""

    name: str
    run: Callable[[Workload, int], Sample]
    nodes: tuple[str, ...] = ()  # of its stages


def cases(settings: Settings) -> list[Case]:
    from cluster.bench.workload import Workload

    if settings.is_tiny:
        few = [Workload("tg", 4, 4), Workload("pp", 32, 1)]
        layouts = [(settings.device,) * number for number in (1, 2)]
        return [Case("tiny:Q4_K", partial(_measure, "tiny:Q4_K", few, layouts), 60.0)]
    decode = [Workload("tg", 64, streams) for streams in (1, 8, 32)]
    prefill = [Workload("pp", 2048, 1)]
    layouts = [(settings.device,) * number for number in (2, 1, 3)]
    # In the order in which they are worth having. Caches for 32 prompts of 2048 have room beside small models only.
    plan = [
        ("1b:Q4_K", "", decode + prefill, 90.0),
        ("8b:Q4_K", " decode", decode, 90.0),
        ("8b:Q4_K", " prefill", prefill, 60.0),
        ("1b:F16", "", decode + prefill, 90.0),
        ("8b:F16", " decode", decode, 120.0),
        ("8b:F16", " prefill", prefill, 90.0),
    ]
    found = [
        Case(f"{model}{what}", partial(_measure, model, wanted, layouts), limit_s)
        for model, what, wanted, limit_s in plan
    ]
    mixed = [Workload("tg", 32, 1), Workload("tg", 32, 8), Workload("pp", 256, 1)]
    run = partial(_measure, MIXED, mixed, [("CPU", settings.device)])
    return [*found[:3], Case(f"{MIXED}, CPU + device", run, 60.0), *found[3:]]


def _measure(
    model: str,
    wanted: Sequence[Workload],
    layouts: Sequence[Sequence[str]],
    settings: Settings,
    tell: Tell,
) -> None:
    """Every contestant runs each workload in turn, round after round, as often as there is time for."""
    from tests.gpu.kit.models import random_model

    start_s = time.monotonic()
    _make_room(settings.scratch, model)
    path = random_model(settings.scratch, model)
    with ExitStack() as stack:
        contestants = _contestants(stack, path, wanted, layouts, settings, tell)
        if not contestants:
            raise RuntimeError("nobody could be started; see those that were not")
        tell(figure("ready", seconds=time.monotonic() - start_s, contestants=len(contestants)))
        for number, workload in enumerate(wanted):
            left_s = start_s + USED_SHARE * settings.limit_s - time.monotonic()
            samples = _rounds(contestants, workload, left_s / (len(wanted) - number), 2 if settings.is_tiny else ROUNDS)
            _tell_samples(contestants, workload, samples, tell)


def _rounds(
    contestants: Sequence[Contestant], workload: Workload, seconds: float, num_rounds: int
) -> list[list[Sample]]:
    """For each contestant its samples, the first of which warm up and are left out."""
    deadline_s = time.monotonic() + seconds
    for one in contestants:
        one.run(workload.shortened(), -1)
    samples: list[list[Sample]] = [[] for _ in contestants]
    for round_number in range(num_rounds):
        round_s = time.monotonic()
        for one, ours in zip(contestants, samples, strict=True):
            ours.append(one.run(workload, round_number))
        now_s = time.monotonic()
        if now_s + (now_s - round_s) > deadline_s:
            break
    return samples


def _tell_samples(
    contestants: Sequence[Contestant], workload: Workload, samples: Sequence[Sequence[Sample]], tell: Tell
) -> None:
    from cluster.bench.spread import ratios, spread
    from cluster.bench.steps import step_figures

    rates = [[workload.num_counted_tokens / sample.seconds for sample in ours] for ours in samples]
    whole = next((rate for one, rate in zip(contestants, rates, strict=True) if one.name == ONE_PROCESS), None)
    for one, rate, ours in zip(contestants, rates, samples, strict=True):
        found = spread(rate)
        assert found is not None, "there is at least one round"
        values: dict[str, float | bool | str] = {
            "tokens_per_s": found.median,
            "low": found.low,
            "high": found.high,
            "rounds": len(rate),
        }
        ratio = None if whole is None or one.name == ONE_PROCESS else ratios(rate, whole)
        if ratio is not None:
            values["to_one_process"] = ratio.median
            if len(one.nodes) == 2 and workload.num_streams == 8:
                values["meets_target"] = ratio.median >= TARGET_RATIO
        tell(figure(f"{workload.name}, {one.name}", **values))
        if one.nodes:
            steps = step_figures([sample.steps for sample in ours], one.nodes)
            overheads = [gap.median for gap in steps.overhead_ms if gap is not None]
            tell(
                figure(
                    f"{workload.name}, {one.name}, steps",
                    num_steps=steps.num_steps,
                    rows=steps.rows.median if steps.rows else None,
                    step_ms=_listed(gap.median if gap else None for gap in steps.step_ms),
                    busy=_listed(steps.busy),
                    bubble=steps.bubble,
                    hop_ms=steps.hop_ms.median if steps.hop_ms else None,
                    turn_ms=steps.turn_ms.median if steps.turn_ms else None,
                    overhead_ms=_listed(overheads) if overheads else None,
                    overhead_meets_target=max(overheads) < TARGET_OVERHEAD_MS if overheads else None,
                )
            )


def _listed(values: Iterable[float | None]) -> str:
    return " ".join("-" if value is None else f"{value:.3g}" for value in values)


def _contestants(
    stack: ExitStack,
    path: Path,
    wanted: Sequence[Workload],
    layouts: Sequence[Sequence[str]],
    settings: Settings,
    tell: Tell,
) -> list[Contestant]:
    """Those that can be had. llama.cpp in one process comes first, since the others are compared with it."""
    starts: list[tuple[str, Callable[[], Contestant]]] = [
        (ONE_PROCESS, partial(_llama_cpp, stack, path, wanted, settings, ())),
    ]
    for devices in layouts:
        name = f"{len(devices)} stage{'s' if len(devices) > 1 else ''} on {' + '.join(dict.fromkeys(devices))}"
        starts.append((name, partial(_cluster, stack, name, path, wanted, tuple(devices))))
    rpc = (RPC, partial(_llama_cpp, stack, path, wanted, settings, (settings.device,) * 2))
    starts.insert(3, rpc)
    found = []
    for name, start in starts:
        try:
            _check_room(settings, path)
            found.append(start())
        except Exception as error:  # of any kind: the others are worth having without it
            tell(not_run(name, f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"))
    return found


def _check_room(settings: Settings, path: Path) -> None:
    """Whether the device has room for the weights once more, and for what comes with them."""
    import worker_native
    from cluster.api.errors import CapacityError, UsageError

    free = next((one.memory_free_bytes for one in worker_native.devices() if one.name == settings.device), None)
    if free is None:
        raise UsageError(f"there is no device {settings.device}")
    needed = path.stat().st_size
    if needed > USED_SHARE * free:
        raise CapacityError(f"{needed / 2**30:.1f} GiB of weights, and {free / 2**30:.1f} GiB are free")


def _context(wanted: Sequence[Workload]) -> tuple[int, int]:
    """Tokens of a slot, and slots, that are enough for all."""
    length = max(one.prompt_length + one.max_tokens for one in wanted) + 1
    return -(-length // 32) * 32, max(one.num_streams for one in wanted)


def _cluster(
    stack: ExitStack, name: str, path: Path, wanted: Sequence[Workload], devices: tuple[str, ...]
) -> Contestant:
    from cluster.bench.measure import Subject
    from cluster.config import ClusterConfig
    from cluster.cutting.cuts import legal_cuts
    from cluster.cutting.header import read_header
    from cluster.cutting.rules import check
    from tests.gpu.kit.launcher import launched

    length, num_slots = _context(wanted)
    header = read_header(path)
    cuts = legal_cuts(check(header))
    inner = [cuts[len(cuts) * part // len(devices)] for part in range(1, len(devices))]
    config = ClusterConfig(str(path), devices=devices, ctx_size=length, parallel=num_slots)
    cluster = stack.enter_context(launched(config, (0, *inner, header.num_layers)))
    status = cluster.client.status()
    subject = Subject(cluster.client, status.vocab_size, len(devices), "")
    return Contestant(name, subject.run, tuple(stage.node for stage in status.stages))


def _llama_cpp(
    stack: ExitStack, path: Path, wanted: Sequence[Workload], settings: Settings, servers: tuple[str, ...]
) -> Contestant:
    from cluster.bench.measure import Sample
    from cluster.bench.peers.baselines import Peer, start_whole
    from cluster.bench.peers.commands import WholeOrders
    from cluster.config import ClusterConfig
    from cluster.planning.any_plan import plan_model

    length, num_slots = _context(wanted)
    num_cores = len(os.sched_getaffinity(0))
    orders = WholeOrders(str(path), length, num_slots, num_cores, uses_gpu=not settings.is_cpu)
    config = ClusterConfig(str(path), devices=servers or (settings.device,), ctx_size=length, parallel=num_slots)
    stages = plan_model(config).stages if servers else ()
    peer = Peer(RPC if servers else ONE_PROCESS, start_whole(stack, orders, stages))
    return Contestant(peer.name, lambda workload, number: Sample(peer.run(workload, number)))


def _make_room(folder: Path, model: str) -> None:
    """The files of other models, and their slices, go."""
    kept = f"random-{model.replace(':', '-')}"
    others = [path for path in folder.glob("random-*") if not path.name.startswith(kept)]
    for path in others:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    if others:
        shutil.rmtree(folder / "cache", ignore_errors=True)
