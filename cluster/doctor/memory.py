"""Memory and disk: what is free, what hides that less is free, and whether the model's stages fit."""

from __future__ import annotations

import os
import resource
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from cluster.api.errors import CapacityError
from cluster.config import ClusterConfig
from cluster.doctor.check import Check, fail, ok, read_text, warn
from cluster.planning.any_plan import take_any
from cluster.planning.inventory import Inventory
from cluster.planning.layout import Layout, Layouts, offers_of
from cluster.store.slices import SliceStore

if TYPE_CHECKING:
    from cluster.planning.programs.inventory import ProgramInventory

GIB = 2**30
PLAN = "see what would have to change: cluster plan"


def check_machine_memory() -> list[Check]:
    """Limits that libllama's figure of free memory does not know, and room for slices."""
    meminfo = {line.partition(":")[0]: line.split() for line in read_text("/proc/meminfo").splitlines()}
    free_bytes = int(meminfo["MemAvailable"][1]) * 1024 if "MemAvailable" in meminfo else _physical_bytes()
    limit_bytes = min(filter(None, (_cgroup_limit_bytes(), _address_limit_bytes())), default=None)
    if limit_bytes is not None and limit_bytes < free_bytes:
        checks = [
            warn(
                "memory",
                f"{free_bytes / GIB:.1f} GiB look free, but this process may have {limit_bytes / GIB:.1f} GiB only",
                "raise the limit of the container or shell, or plan for less with --headroom",
            )
        ]
    else:
        checks = [ok("memory", f"{free_bytes / GIB:.1f} GiB are free")]
    return [*checks, _swap(meminfo)]


def check_model_fits(config: ClusterConfig, is_up: bool) -> list[Check]:
    """The stages in memory, and their slices on disk. A cluster that is up has its memory already."""
    if config.is_shared:
        return [ok("model memory", "the model is on several machines; cluster plan says what its stages take")]
    found = take_any(config)
    if not isinstance(found, Inventory):
        return [_program_fits(found, is_up)]
    with found.dry_run() as dry_run:
        layouts, offers = Layouts(found, dry_run), offers_of(found)
        try:
            layout = layouts.lay_out(offers, found.context, within_memory=not is_up)
        except CapacityError as error:
            return [fail("model memory", str(error), PLAN)]
    needed = sum(memory.total_bytes for memory in layout.memory)
    state = "are in use by the cluster that is up" if is_up else "are needed, and they fit"
    return [ok("model memory", f"{needed / GIB:.2f} GiB {state}"), _disk(found, layout)]


def _program_fits(found: ProgramInventory, is_up: bool) -> Check:
    from cluster.planning.programs.report import report_program  # all operations take a while to import

    program = report_program(found)
    needed = sum(stage.weight_bytes + stage.state_bytes + stage.compute_bytes for stage in program.stages)
    if is_up:
        return ok("model memory", f"{needed / GIB:.2f} GiB are in use by the cluster that is up")
    if not program.fits:
        return fail("model memory", f"{needed / GIB:.2f} GiB are needed, and they do not fit", PLAN)
    return ok("model memory", f"{needed / GIB:.2f} GiB are needed, and they fit")


def _disk(found: Inventory, layout: Layout) -> Check:
    if len(layout.ranges) == 1:
        return ok("slice store", "a whole model needs no slice")
    store = SliceStore()
    stored = {(item.source, item.first, item.end) for item in store.list()}
    needed = sum(
        memory.weight_bytes
        for memory, cut in zip(layout.memory, layout.ranges, strict=True)
        if (found.source.shown_name, *cut) not in stored
    )
    folder = next(folder for folder in (store.root, *store.root.parents) if folder.exists())
    free_bytes = shutil.disk_usage(folder).free
    if needed > free_bytes:
        return fail(
            "slice store",
            f"slices of up to {needed / GIB:.2f} GiB are to be written, {store.root} has {free_bytes / GIB:.2f} GiB",
            "run cluster cache rm, or set XDG_CACHE_HOME to a larger disk",
        )
    return ok("slice store", f"{needed / GIB:.2f} GiB to be written, {free_bytes / GIB:.2f} GiB free in {store.root}")


def _swap(meminfo: dict[str, list[str]]) -> Check:
    if "SwapTotal" not in meminfo:
        return ok("swap", "unknown")
    used = 1024 * (int(meminfo["SwapTotal"][1]) - int(meminfo["SwapFree"][1]))
    if used > GIB:
        return warn(
            "swap", f"{used / GIB:.1f} GiB are swapped out", "end what else takes memory: swapped weights crawl"
        )
    return ok("swap", f"{used / GIB:.1f} GiB in use")


def _physical_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _address_limit_bytes() -> int | None:
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if limit == resource.RLIM_INFINITY else limit


def _cgroup_limit_bytes(root: Path = Path("/sys/fs/cgroup")) -> int | None:
    """What the container may still take (cgroup v2, else v1); None without a limit."""
    for limit_file, usage_file in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        limit, usage = (read_text(str(root / name)).strip() for name in (limit_file, usage_file))
        if limit.isdigit() and int(limit) < _physical_bytes():
            return max(0, int(limit) - (int(usage) if usage.isdigit() else 0))
    return None
