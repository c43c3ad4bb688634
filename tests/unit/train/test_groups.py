"""Groups of some of the ranks, beside torch.distributed's over gloo, and what is wrapped for one of them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.unit.train.ranks import Ranks


def _exercised(dist: Any, lib: Any) -> dict[str, Any]:
    """What a script sees that has three ranks and makes groups of them, with the names of `dist`."""
    rank = dist.get_rank()
    found: dict[str, Any] = {}

    def tensor(*values: float) -> Any:
        return lib.tensor([float(one) for one in values])

    def note(name: str, value: Any) -> None:
        found[name] = value.numpy().tolist() if hasattr(value, "numpy") else value

    ends, first = dist.new_group([2, 0]), dist.new_group(ranks=[0, 1])
    everyone = dist.new_group()
    for name, group in (("ends", ends), ("first", first), ("everyone", everyone)):
        note(f"{name} rank", (dist.get_rank(group), dist.get_world_size(group)))
        is_in = group != dist.GroupMember.NON_GROUP_MEMBER
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            for op in ("SUM", "MAX", "MIN", "PRODUCT"):
                value = tensor(rank + 1, -rank, 2)
                dist.all_reduce(value, op=getattr(dist.ReduceOp, op), group=group)
                note(f"{name} {op}", value)
            gathered = [tensor(0, 0) for _ in range(3 if group is everyone else 2)]
            dist.all_gather(gathered, tensor(rank, 7), group=group)
            for place, one in enumerate(gathered):
                note(f"{name} gathered {place}", one)
            objects = [None] * len(gathered)
            dist.all_gather_object(objects, {"rank": rank, "name": "x" * rank}, group=group)
            note(f"{name} objects", objects)
            if name == "ends":
                value, last = tensor(rank + 1), rank == 2
                dist.reduce(value, dst=2, op=dist.ReduceOp.MAX, group=group)
                note("reduced", value if last else None)
                places = [tensor(0), tensor(0)]
                dist.gather(tensor(rank + 0.5), places if last else None, dst=2, group=group)
                note("gathered", [float(one) for one in places])
                dist.scatter(value, [tensor(3), tensor(4)] if last else None, src=2, group=group)
                note("scattered", value if is_in else None)
            dist.barrier(group=group)
            note(f"{name} warnings", [str(one.message) for one in warned if "does not belong" in str(one.message)])
        if is_in:
            ranks = dist.get_process_group_ranks(group)
            note(f"{name} ranks", ranks)
            note(f"{name} back", [dist.get_global_rank(group, dist.get_group_rank(group, one)) for one in ranks])
            value = tensor(rank, rank)
            dist.broadcast(value, src=ranks[-1], group=group)
            note(f"{name} broadcast", value)
            listed = [rank, "of", ranks[0]]
            dist.broadcast_object_list(listed, src=ranks[-1], group=group)
            note(f"{name} listed", listed)
            for wrong in (lambda group=group: dist.get_group_rank(group, 7), lambda: dist.new_group([0, 0])):
                with pytest.raises(ValueError):
                    wrong()
    if rank != 1:
        value = tensor(5)
        if rank == 0:
            dist.send(tensor(8), dst=2, group=ends)
        else:
            dist.recv(value, src=0, group=ends)
        note("sent", value)
    dist.barrier()
    return found


def beside_torch(folder: str) -> Any:
    import torch
    import torch.distributed as theirs

    import ggml
    from cluster import train

    ours = _exercised(train, ggml)
    theirs.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=train.get_rank(), world_size=train.get_world_size()
    )
    try:
        return ours, _exercised(theirs, torch)
    finally:
        theirs.destroy_process_group()


def test_groups_do_what_those_of_torch_do(ranks: Ranks, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    for ours, theirs in ranks.run(3, beside_torch, str(tmp_path)):
        assert ours == theirs


def misused() -> list[str]:
    import ggml
    from cluster import train

    rank = train.get_rank()
    group = train.new_group([0, 1])
    said = []

    def refused(call: Any) -> None:
        with pytest.raises(ValueError) as error:
            call()
        said.append(str(error.value))

    refused(lambda: train.new_group([]))
    refused(lambda: train.new_group([0, 3]))
    refused(lambda: train.new_group([0] if rank == 0 else [1]))
    refused(lambda: train.all_reduce(ggml.ones(1), group="ends"))
    refused(lambda: train.all_reduce(ggml.ones(1), op="median"))
    if rank == 2:
        refused(lambda: train.DistributedDataParallel(ggml.nn.Linear(2, 2), process_group=group))
        refused(lambda: train.destroy_process_group(group))
    else:
        refused(lambda: train.broadcast(ggml.ones(1), src=2, group=group))
        refused(lambda: train.all_gather([ggml.ones(1)], ggml.ones(1), group=group))
        refused(lambda: train.send(ggml.ones(1), dst=2, group=group))
        train.barrier(group)
        train.destroy_process_group(group)
        refused(lambda: train.all_reduce(ggml.ones(1), group=group))
    train.barrier()
    return said


def test_what_is_wrong_with_a_group_is_said(ranks: Ranks) -> None:
    first, second, third = ranks.run(3, misused)
    assert first[:2] == [
        "new_group: ranks [] must be at least one, and each once",
        "new_group: 3 is no rank of a group of 3",
    ]
    assert first[2] == "new_group: rank 1 asks for other ranks than [0]; all must ask for the same"
    assert third[2] == "new_group: rank 0 asks for other ranks than [1]; all must ask for the same"
    assert first[3] == "all_reduce: str is no group; give what new_group returns"
    assert "op 'median' is none of sum, avg, max, min, product" in first[4]
    assert second[5:] == first[5:]
    assert first[5] == "broadcast: src 2 is no rank of a group of 2"
    assert "tensor_list has 1 tensors for a group of 2" in first[6]
    assert "send: rank 2 is none of the others in a group of 2" in first[7]
    assert first[8] == "all_reduce: this group was destroyed"
    assert third[5].startswith("DistributedDataParallel: rank 2 is not in this group")
    assert third[6].startswith("destroy_process_group: rank 2 is not in this group")


def flat_forms() -> Any:
    import ggml
    from cluster import train

    rank, world_size = train.get_rank(), train.get_world_size()
    group = train.new_group([1, 2])
    whole = ggml.arange(8).float().reshape(4, 2) * (rank + 1)
    part = ggml.zeros(2, 2)
    gathered, rows = ggml.zeros(2 * world_size), ggml.zeros(world_size, 2)
    train.all_gather_into_tensor(gathered, ggml.full((2,), float(rank)))
    train.all_gather_into_tensor(rows, ggml.full((2,), float(rank)))
    if rank:
        train.reduce_scatter_tensor(part, whole, train.ReduceOp.AVG, group)
        with pytest.raises(ValueError, match="came for a place"):
            train.reduce_scatter_tensor(ggml.zeros(3, 2), whole, group=group)
    return part.numpy(), gathered.numpy(), rows.numpy()


def test_tensors_that_are_cut_and_put_together(ranks: Ranks) -> None:
    found = ranks.run(3, flat_forms)
    whole = np.arange(8, dtype=np.float32).reshape(4, 2) * 2.5
    np.testing.assert_array_equal(found[0][0], np.zeros((2, 2)))
    np.testing.assert_array_equal(found[1][0], whole[:2])
    np.testing.assert_array_equal(found[2][0], whole[2:])
    for _, gathered, rows in found:
        np.testing.assert_array_equal(gathered, [0, 0, 1, 1, 2, 2])
        np.testing.assert_array_equal(rows, [[0, 0], [1, 1], [2, 2]])


def _steps(model: Any, wrapped: Any, optimizer: Any, rank: int, world_size: int, steps: int = 6) -> None:
    import ggml
    from ggml import nn

    ggml.manual_seed(1)
    inputs, targets = ggml.randn(12, 6), ggml.randint(0, 3, (12,))
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(wrapped(inputs[rank::world_size]), targets[rank::world_size]).backward()
        optimizer.step()


def _model(seed: int) -> Any:
    import ggml
    from ggml import nn

    ggml.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 10), nn.Tanh(), nn.Linear(10, 3))


def _weights(model: Any) -> list[Any]:
    return [one.numpy().copy() for one in model.parameters()]


def wrapped_for_a_group(folder: str) -> Any:
    """Ranks 0 and 2 train together in three ways, rank 1 by itself: the same steps over the same joint batch."""
    from cluster import train
    from ggml import optim

    group = train.new_group([0, 2])
    rank, world_size = train.get_rank(group), train.get_world_size(group)
    if world_size < 0:
        model = _model(0)
        _steps(model, model, optim.AdamW(model.parameters(), lr=0.02), 0, 1)
        return [_weights(model)]
    found = []
    model = _model(rank)  # only those of rank 0 count
    whole = train.DistributedDataParallel(model, process_group=group)
    optimizer = train.ZeroRedundancyOptimizer(model.parameters(), optim.AdamW, process_group=group, lr=0.02)
    _steps(model, whole, optimizer, rank, world_size)
    found.append(_weights(model))
    optimizer.consolidate_state_dict(to=2)
    assert (rank == 0) or len(optimizer.state_dict()["state"]) == 4
    model = _model(rank)
    train.fully_shard(model[0], process_group=group)
    train.fully_shard(model, process_group=group)
    optimizer = optim.AdamW(model.parameters(), lr=0.02)
    _steps(model, model, optimizer, rank, world_size)
    whole_state = train.get_model_state_dict(model)
    found.append([one.numpy() for one in whole_state.values()])
    state = {"model": model, "optimizer": optimizer}
    with pytest.raises(ValueError, match="pass their process_group"):
        train.checkpoint.load(state, _saved(train, state, folder, group))
    train.checkpoint.load(state, folder, process_group=group)
    return found


def _saved(train: Any, state: Any, folder: str, group: Any) -> str:
    train.checkpoint.save(state, folder, process_group=group)
    return folder


def test_wrappers_take_a_group(ranks: Ranks, tmp_path: Path) -> None:
    first, (alone,), third = ranks.run(3, wrapped_for_a_group, str(tmp_path / "saved"))
    for of_first, of_third in zip(first, third, strict=True):
        for one, other, wanted in zip(of_first, of_third, alone, strict=True):
            np.testing.assert_array_equal(one, other)
            np.testing.assert_allclose(one, wanted, rtol=0, atol=1e-6)


def staged() -> Any:
    """A pipeline of ranks 1 and 2."""
    import ggml
    from cluster import train
    from ggml import nn

    group = train.new_group([1, 2])
    if train.get_rank() == 0:
        return None
    place = train.get_rank(group)
    model = _model(4)
    layers = nn.Sequential(model[0], model[1]) if place == 0 else model[2]
    stage = train.PipelineStage(layers, place, 2, group=group)
    schedule = train.Schedule1F1B(stage, n_microbatches=3, loss_fn=nn.functional.cross_entropy)
    ggml.manual_seed(1)
    inputs, targets = ggml.randn(12, 6), ggml.randint(0, 3, (12,))
    schedule.step(*([inputs] if place == 0 else []), target=targets if place == 1 else None)
    whole = _model(4)
    nn.functional.cross_entropy(whole(inputs), targets).backward()
    wanted = list((whole[0] if place == 0 else whole[2]).parameters())
    for one, other in zip(layers.parameters(), wanted, strict=True):
        np.testing.assert_allclose(one.grad.numpy(), other.grad.numpy(), atol=1e-6)
    return place


def test_a_pipeline_of_some_ranks(ranks: Ranks) -> None:
    assert ranks.run(3, staged) == [None, 0, 1]


def staged_and_parallel() -> Any:
    """Two pipelines of two stages, whose equal stages train together: as one process over the joint batch."""
    import ggml
    from cluster import train
    from ggml import nn, optim

    rank = train.get_rank()
    pipelines = [train.new_group([0, 1]), train.new_group([2, 3])]
    same_stage = [train.new_group([0, 2]), train.new_group([1, 3])]
    place, which = rank % 2, rank // 2

    def layers_of(model: Any) -> Any:
        return nn.Sequential(model[0], model[1]) if place == 0 else model[2]

    layers = layers_of(_model(4 + which))  # only those of the first pipeline count
    whole = train.DistributedDataParallel(layers, process_group=same_stage[place])
    stage = train.PipelineStage(whole, place, 2, group=pipelines[which])
    schedule = train.Schedule1F1B(stage, n_microbatches=2, loss_fn=nn.functional.cross_entropy)
    optimizer = optim.AdamW(layers.parameters(), lr=0.02)
    ggml.manual_seed(1)
    inputs, targets = ggml.randn(16, 6), ggml.randint(0, 3, (16,))
    for _ in range(5):
        optimizer.zero_grad()
        schedule.step(
            *([inputs[which::2]] if place == 0 else []), target=targets[which::2] if place == 1 else None
        )  # fmt: skip
        optimizer.step()
    model = _model(4)
    plain = optim.AdamW(model.parameters(), lr=0.02)
    for _ in range(5):
        plain.zero_grad()
        nn.functional.cross_entropy(model(inputs), targets).backward()
        plain.step()
    for one, other in zip(layers.parameters(), layers_of(model).parameters(), strict=True):
        np.testing.assert_allclose(one.detach().numpy(), other.detach().numpy(), atol=1e-6)
    return place


def test_stages_of_several_workers(ranks: Ranks) -> None:
    assert ranks.run(4, staged_and_parallel) == [0, 1, 0, 1]
