"""The grammar of one slot: what it has drawn, and what may come next."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from cluster.api.errors import ClusterError
from cluster.grammar.matcher import MaskWords, Matcher
from cluster.messages.step import SlotSampling


class SlotGrammar:
    """Counts from the first token that the slot draws. One thread at a time."""

    def __init__(self, matcher: Matcher, sampling: SlotSampling) -> None:
        params = sampling.params
        self._matcher = matcher
        self.first = sampling.num_prompt_tokens  # position of the first token that it describes
        # A text that can end or go on goes on below this length.
        self._may_end_from = math.inf if params.ignore_eos else params.min_tokens
        self._stops = params.stop_token_ids
        self._mask: MaskWords | None = None
        self._mask_length = -1  # after how many tokens `_mask` says what comes next

    @property
    def text(self) -> str:
        return self._matcher.text

    def mask(self, position: int, tokens: Mapping[int, int], is_guessed: bool) -> MaskWords | None:
        """What may follow the token at `position`; `tokens` are those that were not known yet, by position.

        None if that token `is_guessed` and the grammar does not allow it: nothing counts that is drawn there.
        ClusterError if the grammar cannot be followed any more.
        """
        length = position + 1 - self.first
        if not self._take(length, tokens):
            if is_guessed:
                return None
            raise ClusterError("grammar: it does not fit the text so far; report a bug")
        self._fill(length)
        return self._mask

    def drawn(self, position: int, token: int) -> bool:
        """A token was drawn from the mask at `position`. Whether the slot held it already: it was a right guess."""
        length = position + 1 - self.first
        if self._token_at(length) == token:
            return True
        self._rewind(length)
        self._matcher.replay([token])
        return False

    def follow(self) -> None:
        """Find out what may come next, before anybody asks. ClusterError as of `mask`."""
        self._fill(len(self._matcher.tokens))

    def _take(self, length: int, tokens: Mapping[int, int]) -> bool:
        """Let the matcher have exactly the slot's first `length` tokens. False if they do not follow the grammar."""
        for at in sorted(place - self.first for place in tokens if 0 <= place - self.first < length):
            token = tokens[self.first + at]
            if self._token_at(at) == token:
                continue
            if at > len(self._matcher.tokens):
                return False
            self._rewind(at)
            if not self._matcher.advance(token):
                return False
        self._rewind(length)
        return len(self._matcher.tokens) == length

    def _rewind(self, length: int) -> None:
        if self._mask_length > length:
            self._mask_length = -1  # tokens of the same number may be others
        self._matcher.rewind(length)

    def _token_at(self, at: int) -> int | None:
        return self._matcher.tokens[at] if at < len(self._matcher.tokens) else None

    def _fill(self, length: int) -> None:
        if self._mask_length == length:
            return
        # Not in place: a row may still have to be sampled with the mask of the state before.
        mask, self._mask_length = np.empty(self._matcher.num_mask_words, np.int32), -1
        self._matcher.fill(mask)
        if length < self._may_end_from:
            self._matcher.forbid_end(mask, self._stops)
        self._mask, self._mask_length = mask, length
