"""ZeroRedundancyOptimizer beside the plain optimiser, over processes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.unit.train.ranks import Ranks

STEPS = 50


def _model() -> Any:
    import ggml
    from ggml import nn

    ggml.manual_seed(3)
    return nn.Sequential(nn.Linear(6, 24), nn.Tanh(), nn.Linear(24, 24), nn.Tanh(), nn.Linear(24, 3))


def _trained(makes: Any, steps: int = STEPS) -> tuple[Any, Any]:
    """The model and its optimiser after so many steps over this rank's rows, with a schedule of rates."""
    import ggml
    from cluster import train
    from ggml import nn, optim

    model = _model()
    rank, world_size = train.get_rank(), train.get_world_size()
    whole = train.DistributedDataParallel(model)
    optimizer = makes(model)
    scheduler = optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=STEPS)
    ggml.manual_seed(1)
    inputs, targets = ggml.randn(24, 6), ggml.randint(0, 3, (24,))
    for _ in range(steps):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(whole(inputs[rank::world_size]), targets[rank::world_size])
        loss.backward()
        optimizer.step()
        scheduler.step()
    return model, optimizer


def _groups(model: Any) -> list[dict[str, Any]]:
    return [
        {"params": [one for name, one in model.named_parameters() if "weight" in name], "weight_decay": 0.1},
        {"params": [one for name, one in model.named_parameters() if "bias" in name], "weight_decay": 0.0},
    ]


def compared(name: str) -> Any:
    """Weights and whole states of both, and how many elements of state this rank holds."""
    from cluster import train
    from ggml import optim

    kind = getattr(optim, name)
    settings = {"lr": 0.02, "momentum": 0.9} if name == "SGD" else {"lr": 0.02}
    plain, plain_optimizer = _trained(lambda model: kind(_groups(model), **settings))
    model, optimizer = _trained(
        lambda model: train.ZeroRedundancyOptimizer(_groups(model), optimizer_class=kind, **settings)
    )
    for one, other in zip(plain.parameters(), model.parameters(), strict=True):
        np.testing.assert_array_equal(other.numpy(), one.numpy())
    last = train.get_world_size() - 1
    optimizer.consolidate_state_dict(to=last)
    if train.get_rank() == last:
        _check_states(optimizer.state_dict(), plain_optimizer.state_dict())
    else:
        with pytest.raises(ValueError, match="consolidate_state_dict"):
            optimizer.state_dict()
    # Whatever rank loads a whole state takes its own part, and goes on as the plain one does.
    optimizer.load_state_dict(plain_optimizer.state_dict())
    return _num_elements(optimizer.state), _num_elements(plain_optimizer.state)


def _check_states(found: Any, wanted: Any) -> None:
    assert found["param_groups"] == wanted["param_groups"]
    assert found["state"].keys() == wanted["state"].keys()
    for number, kept in wanted["state"].items():
        assert found["state"][number].keys() == kept.keys()
        for key, value in kept.items():
            other = found["state"][number][key]
            if hasattr(value, "numpy"):
                np.testing.assert_array_equal(other.numpy(), value.numpy())
            else:
                assert other == value


def _num_elements(state: Any) -> int:
    return sum(value.numel() for kept in state.values() for value in kept.values() if hasattr(value, "numel"))


@pytest.mark.native
@pytest.mark.parametrize(
    ("world_size", "name"), [(1, "SGD"), (2, "AdamW"), (3, "SGD"), pytest.param(4, "AdamW", marks=pytest.mark.slow)]
)
def test_weights_and_states_are_those_of_the_plain_optimiser_to_the_bit(
    ranks: Ranks, world_size: int, name: str
) -> None:
    found = ranks.run(world_size, compared, name)
    whole = found[0][1]
    assert sum(own for own, _ in found) == whole, "each element lies on one rank"
    # The largest of the parameters is 24 x 24 of 819 elements: the best that whole parameters allow.
    largest = 576 * (2 if name == "AdamW" else 1)
    assert max(own for own, _ in found) <= max(whole / world_size * 1.05, largest)


def refusals() -> list[str]:
    from cluster import train
    from ggml import nn, optim

    model = nn.Linear(2, 1)  # its weight is rank 0's, its bias rank 1's
    optimizer = train.ZeroRedundancyOptimizer(model.parameters(), optim.SGD, lr=0.1)
    said = []
    for work in (
        lambda: optimizer.add_param_group({"params": []}),
        lambda: optimizer.consolidate_state_dict(to=2),
        lambda: optimizer.load_state_dict({"state": {}, "param_groups": []}),
        lambda: train.ZeroRedundancyOptimizer(model.parameters(), optim.SGD, lr=-1),
    ):
        try:
            work()
        except Exception as error:
            said.append(f"{type(error).__name__}: {error}")
    optimizer.step()  # nobody has a gradient: nothing changes
    return said


@pytest.mark.native
def test_what_cannot_be_is_said(ranks: Ranks) -> None:
    for said in ranks.run(2, refusals):
        assert len(said) == 4
        assert "UsageError: ZeroRedundancyOptimizer: groups cannot be added later" in said[0]
        assert "UsageError: consolidate_state_dict: to 2 is no rank of a group of 2" in said[1]
        assert "StateDictError" in said[2]
        assert "lr" in said[3]
