"""Averages of weights beside PyTorch's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ggml
from ggml.optim import swa_utils
from tests.ggml.both import twins


def _averages(library: Any) -> list[dict[str, Any]]:
    kinds = library.optim.swa_utils
    return [
        {},
        {"multi_avg_fn": kinds.get_ema_multi_avg_fn(0.8)},
        {"multi_avg_fn": kinds.get_swa_multi_avg_fn(), "use_buffers": True},
        {"avg_fn": kinds.get_ema_avg_fn(0.7), "use_buffers": True},
        {"avg_fn": kinds.get_swa_avg_fn()},
    ]


@pytest.mark.parametrize("place", range(5))
def test_averages_equal_torch(place: int) -> None:
    import torch.optim.swa_utils  # PyTorch does not load it by itself

    # The plain mean of PyTorch divides by integers, so that it cannot take the counter of batches.
    norm = "nn.BatchNorm1d(3)" if place != 2 else "nn.Tanh()"
    theirs, ours = twins(f"nn.Sequential(nn.Linear(4, 3), {norm}, nn.Linear(3, 2))")
    mine, wanted = (
        library.optim.swa_utils.AveragedModel(model, **_averages(library)[place])
        for library, model in ((ggml, ours), (torch, theirs))
    )
    rng = np.random.default_rng(place)
    for _ in range(4):
        for value in theirs.state_dict().values():
            if value.is_floating_point():
                value.copy_(torch.from_numpy(rng.random(tuple(value.shape), np.float32)))
            else:
                value.add_(1)
        ours.load_state_dict(theirs.state_dict())
        mine.update_parameters(ours)
        wanted.update_parameters(theirs)
    found = mine.state_dict()
    assert list(found) == list(wanted.state_dict())
    for name, value in wanted.state_dict().items():
        np.testing.assert_allclose(found[name].numpy(), value.numpy(), rtol=1e-6, atol=1e-6, err_msg=name)
    x = rng.standard_normal((5, 4)).astype(np.float32)
    result = mine.eval()(ggml.tensor(x))
    np.testing.assert_allclose(
        result.detach().numpy(), wanted.eval()(torch.from_numpy(x)).detach().numpy(), rtol=1e-5, atol=1e-5
    )


def test_what_does_not_fit_is_refused() -> None:
    model = ggml.nn.Linear(2, 2)
    averaged = swa_utils.AveragedModel(model)
    with pytest.raises(ggml.ArgumentError, match="other tensors"):
        averaged.update_parameters(ggml.nn.Linear(2, 3))
    with pytest.raises(ggml.ArgumentError, match="decay"):
        swa_utils.get_ema_multi_avg_fn(1.5)
    with pytest.raises(ggml.ArgumentError, match="only one"):
        swa_utils.AveragedModel(model, avg_fn=swa_utils.get_swa_avg_fn(), multi_avg_fn=swa_utils.get_swa_multi_avg_fn())
    with pytest.raises(ggml.DTypeError, match="a module"):
        swa_utils.AveragedModel(3)  # type: ignore[arg-type]
