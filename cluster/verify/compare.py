"""Two sides next to each other: pure functions of what they computed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cluster.messages.step import Float32Array
from cluster.verify.checksums import Checksums
from cluster.verify.rows import Rows, checksum, greedy, max_delta

# Of the largest value, where slices round otherwise than the whole model. By reasoning: keys and values are kept in 11
# bits, which is 0.05 % each time that another rounding reaches them; a graph that computed something else would differ
# by about the values themselves.
ROUNDING_SHARE = 0.01


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was compared. `max_delta` is None where only checksums could be; `is_equal` is about bits.

    `largest`: the largest magnitude of either side.
    """

    what: str
    is_equal: bool
    max_delta: float | None
    largest: float = 0.0

    def passes(self, tolerance: float, share: float = 0.0) -> bool:
        """Whether the sides are equal, or differ by `tolerance` or by this share of the largest value at most."""
        return self.is_equal or (self.max_delta is not None and self.max_delta <= max(tolerance, share * self.largest))


@dataclass(frozen=True, slots=True)
class Comparison:
    """`against` names the other side. Of `num_rows` rows, `num_greedy_equal` have the same most probable token."""

    against: str
    findings: tuple[Finding, ...]
    num_rows: int
    num_greedy_equal: int

    def passes(self, tolerance: float, share: float = 0.0) -> bool:
        return all(finding.passes(tolerance, share) for finding in self.findings)


def compare_rows(whole: Rows, split: Rows) -> Comparison:
    """The split's boundaries and logits against those of the whole model."""
    assert whole.logits is not None
    assert split.logits is not None
    findings = [
        _finding(f"rows in front of layer {layer}", whole.hidden[layer], rows) for layer, rows in split.hidden.items()
    ]
    findings.append(_finding("logits", whole.logits, split.logits))
    return Comparison("the whole model", tuple(findings), *_agreement(greedy(whole.logits), greedy(split.logits)))


def compare_logits(against: str, one: Float32Array, other: Float32Array) -> Comparison:
    """Logits only."""
    return Comparison(against, (_finding("logits", one, other),), *_agreement(greedy(one), greedy(other)))


def compare_checksums(sums: Checksums, split: Rows) -> Comparison:
    """Against stored checksums, at the boundaries that those have."""
    assert split.logits is not None
    findings = [
        Finding(f"rows in front of layer {layer}", sums.hidden[layer] == checksum(rows), None)
        for layer, rows in split.hidden.items()
        if layer in sums.hidden
    ]
    findings.append(Finding("logits", sums.logits == checksum(split.logits), None))
    return Comparison(
        f"stored checksums of {sums.origin}", tuple(findings), *_agreement(sums.greedy, greedy(split.logits))
    )


def _finding(what: str, one: Float32Array, other: Float32Array) -> Finding:
    is_equal = one.shape == other.shape and bool(np.array_equal(one.view(np.uint32), other.view(np.uint32)))
    largest = max(float(np.max(np.abs(side), initial=0.0)) for side in (one, other))
    return Finding(what, is_equal, max_delta(one, other), largest)


def _agreement(one: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, int]:
    return len(other), sum(left == right for left, right in zip(one, other, strict=False))
