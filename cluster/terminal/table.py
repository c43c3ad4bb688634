"""How a cluster's status looks on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from cluster.api.status import ClusterStatus, Protection, StageStatus
from cluster.terminal.printable import printable


def print_status(status: ClusterStatus, wide: bool) -> None:
    """Print a line about the cluster and a row per stage to stdout."""
    served = printable(f"{status.model} ({status.architecture}): {status.state}, at {status.address}")
    if status.is_program:
        print(f"{served}; {status.num_slots_used} calls under way, {status.num_waiting} waiting")
    else:
        print(
            f"{served}; {status.num_slots_used} of {status.num_slots} slots used, {status.num_waiting} waiting, "
            f"{status.context_length} tokens per slot"
        )
    if status.protection is Protection.NONE:
        print("insecure: prompts, texts and weights pass between the machines without encryption")
    header = ["STAGE", "NODE", "DEVICE", "LAYERS", "WEIGHTS", "KV", "BUSY", "STEP", "STATE"]
    if status.is_program:
        header[3] = "UNITS"
        header[5] = "BUFFERS"
    if wide:
        header += ["COMPUTE", "RSS", "STEPS", "PID", "ADDRESS"]
    for line in format_table([header, *(_row(stage, wide) for stage in status.stages)]):
        print(line)
    if wide:
        print(
            f"epoch {status.epoch}, up {status.uptime_s:.0f} s, {status.num_requests} requests, "
            f"{status.num_tokens} tokens, model {status.model_hash[:12]}"
        )
        if status.draft:
            print(printable(f"draft {status.draft}{_guesses(status)}"))
        if status.num_recoveries:
            print(
                f"{status.num_recoveries} recoveries, {status.lost_s:.1f} s lost, "
                f"{status.num_replayed} tokens computed again"
            )


def _guesses(status: ClusterStatus) -> str:
    if status.draft.startswith("off"):
        return "" if ":" in status.draft else ": nothing is guessed"
    share = f" ({status.num_accepted / status.num_drafted:.0%})" if status.num_drafted else ""
    dropped = f", {status.num_dropped_runs} steps behind wrong ones" if status.num_dropped_runs else ""
    return f": {status.num_accepted} of {status.num_drafted} guesses right{share}{dropped}"


def _row(stage: StageStatus, wide: bool) -> list[str]:
    row = [
        str(stage.stage),
        stage.node,
        stage.device,
        f"[{stage.first},{stage.end})",
        format_bytes(stage.weight_bytes),
        format_bytes(stage.kv_bytes),
        f"{stage.busy_fraction:.0%}",
        f"{stage.step_ms:.1f} ms" if stage.step_ms else "-",
        stage.state,
    ]
    if wide:
        row += [format_bytes(stage.compute_bytes), format_bytes(stage.rss_bytes), str(stage.num_steps)]
        row += [str(stage.pid), stage.address]
    return row


def format_table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of equal length as lines with aligned columns, fit for a terminal."""
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def format_bytes(size_bytes: float) -> str:
    """A size in binary units, three digits or so."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size_bytes < 1024:
            return f"{size_bytes:.0f} {unit}" if unit == "B" or size_bytes >= 100 else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1024
    return f"{size_bytes:.1f} TiB"
