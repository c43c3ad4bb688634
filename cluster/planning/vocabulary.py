"""Whether libllama can use a model's tokenizer: asked of its metadata alone, before anything is cut or downloaded."""

from __future__ import annotations

from cluster.api.errors import UsageError
from cluster.coordinator.tokenizing.process import TokenizerProcess
from cluster.cutting.servable import Servable, header_plan
from cluster.node.disk import temporary_folder
from ggml.tokenizers.keys import MODEL, NONE


def check_vocabulary(model: Servable, name: str) -> None:
    """UsageError says of the model `name` why no coordinator could use its tokenizer.

    It is loaded in a child process, as the coordinator's is: libllama may abort.
    """
    kind = model.header.metadata.get(MODEL)
    if kind is None or kind.value == NONE:
        raise UsageError(
            f"{name}: it has no tokenizer ({MODEL}), and no text can be asked of it; "
            "convert it again, together with its tokenizer"
        )
    with temporary_folder("ggml-cluster-plan-") as folder:
        path = folder / "vocabulary.gguf"
        path.write_bytes(header_plan(model).header_bytes)
        TokenizerProcess(path, name).close()
