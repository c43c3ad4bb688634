"""What a number of a recording is in terms of the extents that may change: found by recording at several sizes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from ggml.core.errors import UnsupportedOpError


@dataclass(frozen=True, slots=True)
class Expression:
    """``(sum of factors * symbols + offset) / divisor``, or with ``is_product`` the symbols multiplied instead."""

    symbols: tuple[str, ...]
    factors: tuple[int, ...]
    offset: int
    divisor: int
    is_product: bool = False


#: A number that is the same at every size, or one that is not.
Extent = int | Expression


class Sizes:
    """``samples`` has, for each recording, what every symbol was."""

    def __init__(self, samples: Sequence[Mapping[str, int]]) -> None:
        self.samples = samples
        self.symbols = tuple(samples[0]) if samples else ()

    def solve(self, row: str, values: tuple[int, ...]) -> Extent:
        """The number whose value in each recording is given; UnsupportedOpError where no expression fits."""
        if len(set(values)) == 1:
            return values[0]
        found = self._sum(values) or self._product(values)
        if found is None:
            raise UnsupportedOpError(
                f"onnx.export: {row}", "ggml", f"a number in it is {values} at {[dict(one) for one in self.samples]}, "
                "which is no sum or product of these sizes; keep the axis fixed",
            )  # fmt: skip
        return found

    def _sum(self, values: tuple[int, ...]) -> Expression | None:
        """Slopes from recordings in which one symbol alone differs from the first, proven by all others."""
        first, slopes = self.samples[0], {}
        for symbol in self.symbols:
            for sample, value in zip(self.samples, values, strict=True):
                if [one for one in self.symbols if sample[one] != first[one]] == [symbol]:
                    slopes[symbol] = Fraction(value - values[0], sample[symbol] - first[symbol])
                    break
        used = tuple(symbol for symbol in self.symbols if slopes.get(symbol))
        rest = values[0] - sum((slopes[symbol] * first[symbol] for symbol in used), Fraction(0))
        for sample, value in zip(self.samples, values, strict=True):
            if sum((slopes[symbol] * sample[symbol] for symbol in used), rest) != value:
                return None
        divisor = math.lcm(rest.denominator, *[slopes[symbol].denominator for symbol in used])
        factors = tuple(int(slopes[symbol] * divisor) for symbol in used)
        return Expression(used, factors, int(rest * divisor), divisor)

    def _product(self, values: tuple[int, ...]) -> Expression | None:
        for count in range(2, len(self.symbols) + 1):
            for used in itertools.combinations(self.symbols, count):
                products = [math.prod(sample[symbol] for symbol in used) for sample in self.samples]
                factor = Fraction(values[0], products[0])
                if all(factor * one == value for one, value in zip(products, values, strict=True)):
                    return Expression(used, (factor.numerator,), 0, factor.denominator, True)
        return None
