"""Prompts with pictures: their texts tokenised, their pictures encoded, one after the other for all clients."""

from __future__ import annotations

import asyncio
from itertools import groupby
from pathlib import Path

from cluster.api.errors import ContextOverflowError, UsageError
from cluster.api.prompt import Segments
from cluster.coordinator.spec import CoordinatorSpec
from cluster.coordinator.tokenizing.tokenizer import Tokenizer
from cluster.fairness.turns import Turns
from cluster.messages.pictures import PicturedPrompt
from cluster.node.machine import this_machine
from cluster.pictures.encoder import EncodedPicture, PictureEncoder, joined
from cluster.pictures.projector import open_projector


class Pictures:
    """`prompt` lives on one event loop. Close it."""

    def __init__(self, spec: CoordinatorSpec, vocabulary: Path, tokenizer: Tokenizer) -> None:
        """Start the encoder, where the spec names a file for it. UsageError says why it cannot be used."""
        self._model = spec.model
        self._context_length = spec.context_length
        self._tokenizer = tokenizer
        self._turns = Turns()
        self._encoder: PictureEncoder | None = None
        if spec.mmproj is not None:
            self._encoder = PictureEncoder(open_projector(spec.mmproj), vocabulary, this_machine().num_cores)

    @property
    def are_taken(self) -> bool:
        """Prompts may have some."""
        return self._encoder is not None

    async def prompt(self, client: str, field: str, segments: Segments, add_special: bool) -> PicturedPrompt:
        """Of texts and pictures in their order. Each text is tokenised by itself, as mtmd does.

        UsageError where no pictures are taken, or one cannot be; ContextOverflowError once it is too long.
        """
        if self._encoder is None:
            raise UsageError(
                f"{field}: {self._model} is served without the part that reads pictures; give texts, or start the "
                "cluster with --mmproj FILE"
            )
        table = self._tokenizer.table
        pieces: list[list[int] | EncodedPicture] = []
        if add_special and table.adds_bos and table.bos is not None:
            pieces.append([table.bos])
        num_tokens, num_pictures = 0, 0
        for is_picture, group in groupby(segments, key=lambda segment: bool(segment.picture)):
            if not is_picture:
                token_ids = await self._tokenizer.tokenize(client, field, tuple(group), False)
                pieces.append(token_ids)
                num_tokens += len(token_ids)
                continue
            for segment in group:
                found = await self._encoded(client, f"{field}: picture {num_pictures}", segment.picture)
                pieces.append(found)
                num_pictures += 1
                num_tokens += found.num_tokens
                if num_tokens > self._context_length:
                    raise ContextOverflowError.of(field, num_tokens, self._context_length)
        return joined(pieces)

    def close(self) -> None:
        """End the encoder's process."""
        if self._encoder is not None:
            self._encoder.close()

    async def _encoded(self, client: str, field: str, picture: bytes) -> EncodedPicture:
        """Once it is the client's turn. If the client goes, its turn ends with its picture."""
        assert self._encoder is not None
        await self._turns.take(client)
        encoding = asyncio.ensure_future(asyncio.to_thread(self._encoder.encode, picture, field))

        def end_turn(done: asyncio.Future[EncodedPicture]) -> None:
            self._turns.give_on()
            if not done.cancelled():
                done.exception()  # looked at, should nobody else be there to do so

        encoding.add_done_callback(end_turn)
        return await asyncio.shield(encoding)
