"""llama.cpp's mtmd by ctypes: a picture as tokens and rows. For child processes only: it may end its process."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from typing import Any

import llama_cpp
import numpy as np
from llama_cpp import mtmd_cpp as mtmd

from cluster.api.errors import ClusterError, UsageError
from cluster.messages.pictures import Grid
from cluster.node.libllama import silent
from cluster.pictures.parts import Part, PartRows


class Mtmd:
    """An encoder of pictures. Its process ends with it."""

    def __init__(self, projector: str, vocabulary: str, row_width: int, num_threads: int) -> None:
        """Load both files. `vocabulary`: a GGUF with the model's metadata and vocabulary, for the tokens that some
        families have around a picture. ClusterError where mtmd takes one of them not."""
        llama_cpp.llama_log_set(silent, None)
        mtmd.mtmd_log_set(silent, None)
        mtmd.mtmd_helper_log_set(silent, None)
        self._row_width = row_width
        params = llama_cpp.llama_model_default_params()
        params.vocab_only = True
        self._model = llama_cpp.llama_model_load_from_file(vocabulary.encode(), params)
        if not self._model:
            raise ClusterError("mmproj: libllama cannot load the model's vocabulary")
        options = mtmd.mtmd_context_params_default()
        options.use_gpu = False
        options.print_timings = False
        options.n_threads = num_threads
        options.warmup = False
        self._context = mtmd.mtmd_init_from_file(projector.encode(), self._model, options)
        if not self._context:
            raise ClusterError("mmproj: mtmd cannot load it; it may be damaged, or of a newer llama.cpp")

    def parts_of(self, picture: bytes) -> list[Part]:
        """What a prompt has in the place of a picture. UsageError for bytes that are none.

        Of a picture that is cut into tiles there are rows for each, and tokens between them.
        """
        data = (ctypes.c_uint8 * len(picture)).from_buffer_copy(picture)
        bitmap = mtmd.mtmd_helper_bitmap_init_from_buf(self._context, data, len(picture), False)
        if not bitmap:
            raise UsageError("it cannot be decoded; it may be damaged")
        chunks = mtmd.mtmd_input_chunks_init()
        try:
            marker = mtmd.mtmd_default_marker()
            text = mtmd.mtmd_input_text(marker, len(marker), False, True)
            bitmaps = (ctypes.c_void_p * 1)(bitmap)
            if code := mtmd.mtmd_tokenize(self._context, chunks, ctypes.byref(text), bitmaps, 1):
                raise UsageError(f"mtmd cannot prepare it ({code}); give another size or format")
            return list(self._encoded(chunks))
        finally:
            mtmd.mtmd_input_chunks_free(chunks)
            mtmd.mtmd_bitmap_free(bitmap)

    def _encoded(self, chunks: Any) -> Iterator[Part]:
        for place in range(mtmd.mtmd_input_chunks_size(chunks)):
            chunk = mtmd.mtmd_input_chunks_get(chunks, place)
            kind = mtmd.mtmd_input_chunk_get_type(chunk)
            if kind == mtmd.MTMD_INPUT_CHUNK_TYPE_TEXT:
                count = ctypes.c_size_t()
                tokens = mtmd.mtmd_input_chunk_get_tokens_text(chunk, ctypes.byref(count))
                yield self._checked(tuple(tokens[: count.value]))
                continue
            if kind != mtmd.MTMD_INPUT_CHUNK_TYPE_IMAGE:
                raise UsageError("it is no picture")
            if code := mtmd.mtmd_encode_chunk(self._context, chunk):
                raise ClusterError(f"mmproj: mtmd cannot encode it ({code})")
            num_rows = mtmd.mtmd_input_chunk_get_n_tokens(chunk)
            found = np.ctypeslib.as_array(mtmd.mtmd_get_output_embd(self._context), (num_rows, self._row_width))
            non_causal = mtmd.mtmd_decode_use_non_causal(self._context, chunk)
            yield PartRows(found.copy(), self._grid(chunk, num_rows), non_causal)

    def _grid(self, chunk: Any, num_rows: int) -> Grid | None:
        """How the rows of a picture lie in it, where positions say so."""
        if not mtmd.mtmd_decode_use_mrope(self._context):
            return None
        tokens = mtmd.mtmd_input_chunk_get_tokens_image(chunk)
        # Deprecated in favour of positions, of which these two numbers are all that there is to know.
        grid = Grid(mtmd.mtmd_image_tokens_get_nx(tokens), mtmd.mtmd_image_tokens_get_ny(tokens))
        if grid.width * grid.height != num_rows or mtmd.mtmd_input_chunk_get_n_pos(chunk) != max(grid):
            raise ClusterError(f"mmproj: {num_rows} rows of a picture are not its {grid.width} x {grid.height}")
        return grid

    @staticmethod
    def _checked(tokens: tuple[int, ...]) -> tuple[int, ...]:
        """mtmd gives a negative number where it looked a token up that the vocabulary has not."""
        if any(token < 0 for token in tokens):
            raise ClusterError(
                "mmproj: the model's vocabulary has not the tokens that stand around pictures of this family; give the "
                "mmproj file that was made for this model"
            )
        return tokens
