"""What a stage loads with and from: a library that passed its self-test, and a file with its layers."""

from __future__ import annotations

from typing import NamedTuple

from cluster.api.errors import ClusterError
from cluster.sources.stored import stored_slice
from cluster.stage.spec import OnProgress, StageSpec
from cluster.store.entry import StoredSlice
from cluster.wire.access.keys import Keys
from worker_native.probe import Probe, probe


class Prepared(NamedTuple):
    """Both."""

    library: Probe
    file: StoredSlice


def prepare(spec: StageSpec, report: OnProgress, keys: Keys | None) -> Prepared:
    """Test the library, then cut or fetch what `spec` asks for, reporting (phase, fraction); next it is loaded.

    `keys`: of this node, for peers. ClusterError if the library fails; of the file, errors as for `stored_slice`.
    """
    report("cutting", 0.0)
    try:
        # In a child process: a miscompiled library kills whoever multiplies with it.
        library = probe()
    except RuntimeError as error:
        raise ClusterError(f"stage {spec.stage}: {error}") from error
    file = stored_slice(spec.source, spec.model_hash, spec.first, spec.end, report, keys)
    report("loading", 0.0)
    return Prepared(library, file)
