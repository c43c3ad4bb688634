"""Arguments for each row of the table, by the row's ``sample``. Mostly valid; what PyTorch refuses must be refused."""

from tests.ggml.samples import attention, blends, contractions, distances, elementwise, filling, fourier, joining, losses, modules, norms, places, products, reductions, scatter, shapes, spatial, statistics
from tests.ggml.samples.common import SAMPLES, Call

__all__ = ["SAMPLES", "Call", "attention", "blends", "contractions", "distances", "elementwise", "filling", "fourier", "joining", "losses", "modules", "norms", "places", "products", "reductions", "scatter", "shapes", "spatial", "statistics"]
