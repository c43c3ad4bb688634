"""From a spec to a computing slice: self-test, cut or fetched into the node's store, load."""

from __future__ import annotations

from collections.abc import Callable

from cluster.api.errors import ClusterError, ModelFileError
from cluster.sources.freshness import file_states
from cluster.sources.stored import stored_slice
from cluster.stage.runner import StageCompute
from cluster.stage.spec import StageSpec
from worker_native.probe import probe

Report = Callable[[str, float], None]


def load_stage(spec: StageSpec, report: Report) -> tuple[StageCompute, str]:
    """Cut or fetch, and load what `spec` asks for, reporting (phase, fraction). Returns it and the library's build.

    Raises UsageError for a bad source, UnreachableError for one that does not answer, CapacityError for a lack of
    disk or memory, ClusterError if the library fails its self-test.
    """
    report("cutting", 0.0)
    before = file_states(spec.source)
    try:
        # In a child process: a miscompiled library kills whoever multiplies with it.
        found = probe()
    except RuntimeError as error:
        raise ClusterError(f"stage {spec.stage}: {error}") from error
    stored = stored_slice(spec.source, spec.model_hash, spec.first, spec.end, report)
    report("loading", 0.0)
    # The store's files are never written to. A whole model is the user's own file: that may be.
    is_stored = bool(stored.key)
    compute = StageCompute(
        spec, str(stored.path), found.use_extra_bufts, lambda fraction: report("loading", fraction), is_stored
    )
    if not is_stored and file_states(spec.source) != before:
        compute.close()
        raise ModelFileError(f"{stored.path}: file: changed while it was loaded; run cluster up again")
    return compute, found.build
