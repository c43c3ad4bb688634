"""Arguments for each row of the table, by the row's ``sample``. Mostly valid; what PyTorch refuses must be refused."""

from tests.ggml.samples import (
    blends,
    distances,
    elementwise,
    fourier,
    joining,
    losses,
    norms,
    places,
    products,
    reductions,
    shapes,
    statistics,
)
from tests.ggml.samples.common import SAMPLES, Call

__all__ = ["SAMPLES", "Call", "elementwise", "norms", "places", "products", "reductions", "shapes"]
__all__ += ["blends", "distances", "fourier", "joining", "losses", "statistics"]
