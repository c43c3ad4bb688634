"""Stages of a pipeline beside the whole model, over processes; and their order, alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cluster.train.pipelining.order import BACKWARD, FORWARD, one_forward_one_backward
from tests.unit.train.ranks import Ranks

STEPS = 8


@pytest.mark.parametrize("num_microbatches", [1, 2, 3, 4, 9])
@pytest.mark.parametrize("num_stages", [1, 2, 3, 4])
def test_every_order_comes_to_its_end_and_holds_no_more_than_it_must(num_stages: int, num_microbatches: int) -> None:
    orders = [list(one_forward_one_backward(stage, num_stages, num_microbatches)) for stage in range(num_stages)]
    for stage, order in enumerate(orders):
        for what in (FORWARD, BACKWARD):
            assert [number for kind, number in order if kind == what] == list(range(num_microbatches))
        held = most = 0
        for what, _ in order:
            held += 1 if what == FORWARD else -1
            most = max(most, held)
        assert most == min(num_stages - stage, num_microbatches)
    # Each does what comes next as soon as what it needs is there, and nobody is left waiting.
    done: set[tuple[int, str, int]] = set()
    places = [0] * num_stages
    while True:
        moved = False
        for stage, order in enumerate(orders):
            if places[stage] == len(order):
                continue
            what, number = order[places[stage]]
            needed = (stage - 1, FORWARD, number) if what == FORWARD else (stage + 1, BACKWARD, number)
            if not 0 <= needed[0] < num_stages or needed in done:
                done.add((stage, what, number))
                places[stage] += 1
                moved = True
        if not moved:
            break
    assert places == [2 * num_microbatches] * num_stages


def _layers() -> list[Any]:
    import ggml
    from ggml import nn

    ggml.manual_seed(4)
    return [nn.Embedding(11, 8), nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 5)]


def _batches() -> Any:
    import ggml

    ggml.manual_seed(6)
    return [(ggml.randint(0, 11, (12,)), ggml.randint(0, 5, (12,))) for _ in range(STEPS)]


def compared(num_microbatches: int) -> tuple[float, float]:
    """How far the furthest loss and weight of this stage are from those of the whole model."""
    from cluster import train
    from ggml import nn, optim

    whole = nn.Sequential(*_layers())
    optimizer = optim.SGD(whole.parameters(), lr=0.1, momentum=0.9)
    wanted = []
    for inputs, targets in _batches():
        optimizer.zero_grad()
        parts = zip(inputs.chunk(num_microbatches), targets.chunk(num_microbatches), strict=True)
        losses = [nn.functional.cross_entropy(whole(one), other) for one, other in parts]
        for loss in losses:
            (loss / num_microbatches).backward()
        wanted.append([loss.item() for loss in losses])
        optimizer.step()

    rank, world_size = train.get_rank(), train.get_world_size()
    layers = _layers()
    mine = [int(one) for one in np.array_split(np.arange(len(layers)), world_size)[rank]]
    part = nn.Sequential(*[layers[place] for place in mine])
    stage = train.PipelineStage(part, rank, world_size)
    schedule = train.Schedule1F1B(stage, num_microbatches, nn.functional.cross_entropy)
    optimizer = optim.SGD(part.parameters(), lr=0.1, momentum=0.9)
    furthest = 0.0
    for (inputs, targets), before in zip(_batches(), wanted, strict=True):
        optimizer.zero_grad()
        losses = []
        given = (inputs,) if stage.is_first else ()
        output = schedule.step(*given, target=targets if stage.is_last else None, losses=losses)
        optimizer.step()
        if stage.is_last:
            assert tuple(output.shape) == (12, 5)
            furthest = max(furthest, np.abs(np.array([one.item() for one in losses]) - before).max())
        else:
            assert output is None and not losses
    weights = [np.abs(one.numpy() - whole[place].state_dict()[name].numpy()).max()
               for place in mine for name, one in layers[place].state_dict().items()]  # fmt: skip
    return float(furthest), float(max(weights, default=0.0))


@pytest.mark.native
@pytest.mark.parametrize(("num_stages", "num_microbatches"), [(1, 2), (2, 4), (3, 6), (3, 2)])
def test_losses_and_weights_are_those_of_the_whole_model(ranks: Ranks, num_stages: int, num_microbatches: int) -> None:
    for loss, weights in ranks.run(num_stages, compared, num_microbatches):
        assert loss <= 1e-6
        assert weights <= 1e-6


def exchanged() -> list[Any]:
    """Tensors in all directions, and what is refused."""
    import ggml
    from cluster import train
    from ggml import nn

    rank, world_size = train.get_rank(), train.get_world_size()
    for other in range(world_size):
        if other != rank:
            train.send((ggml.arange(6, dtype=ggml.float32) + 10 * rank).reshape(2, 3).to(ggml.bfloat16), other)
            train.send(ggml.tensor([2**40 + rank]), other)
    found: list[Any] = []
    for other in range(world_size):
        if other != rank:
            floats, whole = ggml.zeros(2, 3), ggml.zeros(1, dtype=ggml.int64)
            assert train.recv(floats, other) == other
            train.recv(whole, other)
            np.testing.assert_array_equal(floats.numpy(), np.arange(6).reshape(2, 3) + 10 * other)
            assert whole.item() == 2**40 + other
    stage = train.PipelineStage(nn.Linear(2, 2), rank, world_size)
    schedule = train.Schedule1F1B(stage, 2, nn.functional.mse_loss)
    for work in (
        lambda: train.send(ggml.ones(1), rank),
        lambda: train.recv(ggml.ones(1), 9),
        lambda: train.PipelineStage(nn.Linear(2, 2), (rank + 1) % world_size, world_size),
        lambda: train.Schedule1F1B(stage, 0, nn.functional.mse_loss),
        lambda: schedule.step(*[ggml.ones(3, 2)] * (rank == 0), target=ggml.ones(3, 2) if rank else None),
        lambda: schedule.step(target=ggml.ones(2, 2)),
    ):
        try:
            work()
        except Exception as error:
            found.append(f"{type(error).__name__}: {error}")
    return found


@pytest.mark.native
def test_tensors_go_from_any_rank_to_any_other_and_nonsense_is_refused(ranks: Ranks) -> None:
    for rank, said in enumerate(ranks.run(2, exchanged)):
        assert len(said) == 6, said
        assert "is none of the others" in said[0]
        assert "rank 9 is none of the others" in said[1]
        assert "each rank has the stage of its number" in said[2]
        assert "n_microbatches 0" in said[3]
        assert "(3, 2) cannot be cut into 2 equal microbatches" in said[4]
        # Rank 1 has asked for what rank 0 never sent, which has left by then.
        assert ("the first stage is given one batch" if rank == 0 else "UnreachableError: ring: rank 0") in said[5]
