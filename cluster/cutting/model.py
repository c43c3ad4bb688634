"""A model that passed all checks: what cutting, planning and loading take in place of a header.

`rules.check` makes it once, when a model is opened; whoever holds one need not check again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cluster.api.embedding import Pooling
from cluster.cutting.architectures import Architecture, Rounded
from cluster.cutting.header import Header
from ggml.gguf.value import MetadataValue


@dataclass(frozen=True, slots=True)
class CutPlace:
    """The place in front of `layer`; `refusal` is empty where the model may be cut.

    `rounding`: how slices round otherwise than the whole model, if it is cut there; empty: they do not.
    """

    layer: int
    refusal: str
    rounding: str = ""

    def refusal_unless(self, allow_rounding: bool) -> str:
        """Why the model may not be cut there; empty if it may."""
        if self.refusal or allow_rounding or not self.rounding:
            return self.refusal
        return f"{self.rounding}; give --allow-rounding to cut it all the same"


@dataclass(frozen=True, slots=True)
class Model:
    """What the keys and tensors of a checked header mean; sequences have an entry for each layer.

    `num_layers`: those that can be cut; of an encoder and a decoder, the decoder's. `row_width`: floats that go from
    slice to slice for each token. `sliding`: None without windows. `window_size`: of those that slices have set in
    their graph, 0 without. `part_width`: of each layer's part of one embedding, 0 without. `num_shared`: the last
    layers, which use the keys and values of others. `block_size`: layers of a block, see `Architecture.blocks`; 0
    without. `places`: all places between two layers.
    """

    header: Header
    architecture: str
    row: Architecture
    num_layers: int
    hidden_width: int
    row_width: int
    vocab_size: int
    arrays: Mapping[str, MetadataValue]
    sliding: tuple[bool, ...] | None
    window_size: int
    recurrent: tuple[bool, ...]
    attends: tuple[bool, ...]
    part_width: int
    num_shared: int
    block_size: int
    places: tuple[CutPlace, ...]

    @property
    def num_deepstack(self) -> int:
        """So many of the first layers add a part of its own to each row of a picture; to those of tokens zeros."""
        return self.header.uint32(self.key("n_deepstack_layers"), 0)

    @property
    def picture_width(self) -> int:
        """Floats of a picture's row as the model takes it: the hidden row, and what layers add behind themselves."""
        return self.hidden_width * (1 + self.num_deepstack)

    @property
    def can_truncate(self) -> bool:
        """Whether a slot can go back to an earlier token: not where layers keep a running state, or an encoder reads
        the prompt."""
        return not (self.row.recurrent or self.row.encodes_prompt)

    @property
    def decoder_start(self) -> int | None:
        """The token between what an encoder reads and what the decoder says; None of a model without both."""
        return self.header.uint32(self.key("decoder_start_token_id")) if self.row.encodes_prompt else None

    @property
    def keeps_numbers(self) -> bool:
        """Whether a slice has zeros for all layers in front of its own."""
        return self.row.numbered or self.block_size > 0

    @property
    def has_small_zeros(self) -> bool:
        """Whether the layers of zeros in a slice are made as small as they can be."""
        return self.keeps_numbers or self.row.hands_on_first

    @property
    def pooling(self) -> Pooling | None:
        """How one vector is made of a text; None of a model that was not made for that."""
        return Pooling.of_file(self.header.uint32(self.key("pooling_type"), 0))

    @property
    def slice_architecture(self) -> str:
        """What a slice that is not the whole model calls itself; see `Architecture.twins`."""
        if self.rounded is not None:
            return self.rounded.architecture
        return self.row.twins.get(self.num_layers, self.architecture)

    @property
    def rounded(self) -> Rounded | None:
        """What slices are where they cannot be exact; None where they can, or cannot be at all."""
        least = self.row.at_least
        return self.row.rounded if least is not None and self.num_layers >= least else None

    @property
    def is_tied(self) -> bool:
        """Whether slices have the embedding as their head, and never one of its own."""
        return self.row.tied and self.rounded is None

    def key(self, name: str) -> str:
        return f"{self.architecture}.{name}"
