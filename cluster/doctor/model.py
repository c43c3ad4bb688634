"""The model file: is it sound, can it be cut, and is it still the one that the cluster serves."""

from __future__ import annotations

from pathlib import Path

from cluster.doctor.check import Check, fail, ok, warn
from cluster.errors import ClusterError
from cluster.gguf import legal_cuts, model_hash, read_header
from cluster.messages import ClusterStatus


def check_model(path: str, status: ClusterStatus | None) -> list[Check]:
    """`status`: of the cluster that is up and serves this path."""
    try:
        header = read_header(path)
        found = model_hash(path, header)
    except ClusterError as error:
        return [fail("model", str(error), "fetch or convert it again")]
    checks = [ok("model", f"{Path(path).name}: sound, hash {found[:12]}"), _cuts(path)]
    if status is not None:
        checks.append(_same(found, status.model_hash))
    return checks


def _cuts(path: str) -> Check:
    try:
        cuts = legal_cuts(read_header(path))
    except ClusterError as error:
        return fail("cuts", str(error), "see the list of architectures in the documentation")
    if not cuts:
        return warn("cuts", "there is no place to cut it exactly", "serve it whole, with --stages 1")
    return ok("cuts", f"{len(cuts)} places")


def _same(on_disk: str, served: str) -> Check:
    if on_disk == served:
        return ok("model hash", "the file is the one that the cluster serves")
    return fail(
        "model hash",
        f"the file has {on_disk[:12]}, the cluster serves {served[:12]}",
        "put that file back, or run cluster down, then cluster up",
    )
