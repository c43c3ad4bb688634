"""Request: one that is open, with its reader and its figures."""

from __future__ import annotations

from dataclasses import dataclass, field

from cluster.api.results import PromptCounts, PromptLogprob, Timings
from cluster.api.status import SlotState, SlotStatus
from cluster.engine.events import Sink
from cluster.engine.sequence import Sequence
from cluster.engine.text.stream import TextStream


@dataclass(slots=True, eq=False)
class Request:
    """A sequence with its reader, its text (None for logits and vectors) and its times on the engine's clock."""

    sequence: Sequence
    sink: Sink
    text: TextStream | None
    arrival_s: float
    first_token_s: float | None = None
    scored: list[PromptLogprob] = field(default_factory=list)
    num_logits: int = 0  # rows of logits that its reader has had
    ticket: bytes = b""

    @property
    def prompt_counts(self) -> PromptCounts:
        num_prompt_tokens = len(self.sequence.prompt)
        num_computed = min(self.sequence.num_computed, num_prompt_tokens)
        return PromptCounts(num_prompt_tokens, self.sequence.num_cached, num_computed)

    @property
    def prompt_logprobs(self) -> tuple[PromptLogprob, ...]:
        """All that were asked for; none before all are there."""
        prompt = self.sequence.prompt
        if not self.sequence.scores_prompt or len(self.scored) != len(prompt) - 1:
            return ()
        return PromptLogprob(prompt[0], None), *self.scored

    def timings(self, now_s: float) -> Timings:
        """Figures of a request that ends now; a span that was never entered is 0."""
        admitted_s = now_s if self.sequence.admitted_s is None else self.sequence.admitted_s
        first_token_s = now_s if self.first_token_s is None else self.first_token_s
        return Timings(
            num_prompt_tokens=len(self.sequence.prompt),
            num_tokens=self.sequence.num_generated,
            num_cached_tokens=self.sequence.num_cached,
            num_drafted=self.sequence.num_drafted,
            num_accepted=self.sequence.num_accepted,
            num_dropped_runs=self.sequence.num_dropped_runs,
            queue_ms=(admitted_s - self.arrival_s) * 1e3,
            prefill_ms=(first_token_s - admitted_s) * 1e3,
            decode_ms=(now_s - first_token_s) * 1e3,
        )

    def slot_status(self, now_s: float) -> SlotStatus | None:
        """None while it has no slot."""
        sequence = self.sequence
        slot, num_generated = sequence.slot, sequence.num_generated
        if slot is None:
            return None
        return SlotStatus(
            id=slot,
            state=SlotState.GENERATING if num_generated else SlotState.PROMPT,
            num_prompt_tokens=len(sequence.prompt),
            num_cached_tokens=sequence.num_cached,
            num_computed=sequence.num_computed,
            num_generated=num_generated,
            age_s=max(0.0, now_s - self.arrival_s),
        )
