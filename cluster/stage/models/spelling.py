"""The tokens of a GGUF, for the grammars that its text follows."""

from __future__ import annotations

from cluster.api.errors import ClusterError, UsageError
from cluster.grammar.vocabulary import Spelling
from cluster.sources.stored import stored_vocabulary
from cluster.stage.spec import StageSpec
from cluster.wire.access.keys import Keys
from worker_native import Vocab


def open_spelling(spec: StageSpec, keys: Keys | None) -> Spelling:
    """That of the whole model: a slice has none. It is fetched if it is not here; `keys` are this node's, for peers.

    UsageError if it has none that libllama takes; UnreachableError, CapacityError as for a slice.
    """
    stored = stored_vocabulary(spec.source, spec.model_hash, keys)
    try:
        return Vocab(str(stored.path))
    except ValueError as error:
        raise UsageError(f"grammar: {error}") from error
    except RuntimeError as error:
        raise ClusterError(f"grammar: {error}") from error
