"""What travels between processes: errors, tensors, modules, functions; through pickle, copies and process pools."""

from __future__ import annotations

import concurrent.futures
import copy
import inspect
import multiprocessing
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ggml
from cluster.api import errors as cluster_errors
from ggml import nn
from ggml.core import errors

WAYS: dict[str, Callable[[Any], Any]] = {
    "pickle": lambda value: pickle.loads(pickle.dumps(value)),
    "protocol 2": lambda value: pickle.loads(pickle.dumps(value, 2)),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}

#: An argument for each parameter of an error's class.
_ARGUMENTS = {
    "rank": 9, "limit": 8, "dim": 3, "requested": 7, "available": 5, "devices": ("CPU", "CUDA0"), "missing": ["a"],
    "unexpected": ["b"], "errors": ["line"], "strict": True, "got": ((2, 3), (2, 3)), "expected": ggml.float32,
}  # fmt: skip


def _below(root: type[Exception]) -> Iterator[type[Exception]]:
    yield root
    for kind in root.__subclasses__():
        yield from _below(kind)


def sample(kind: type[Exception]) -> Exception:
    """An error of the class, with something in every field."""
    if not inspect.isfunction(kind.__init__):  # a built-in class's own, which takes the message
        return kind("what: why; what to do")
    parameters = list(inspect.signature(kind).parameters.values())
    return kind(*[_ARGUMENTS.get(one.name, f"a {one.name}") for one in parameters])


KINDS = [*_below(errors.GgmlError), *_below(cluster_errors.ClusterError)]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_every_error_arrives_as_it_was(kind: type[Exception], way: str) -> None:
    error = sample(kind)
    error.add_note("a note")
    again = WAYS[way](error)
    assert type(again) is kind
    assert str(again) == str(error)
    assert again.args == error.args
    assert vars(again) == vars(error)


def test_an_error_arrives_whatever_its_fields_hold() -> None:
    error = errors.DTypeError("op", lambda: 0, open)  # a lambda cannot be pickled
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error)
    assert isinstance(again.expected, str) and again.got is open


def test_completions_travel_with_an_error_of_the_cluster() -> None:
    error = cluster_errors.UnreachableError("gone")
    error.completions = (cluster_errors.UsageError("this one"), cluster_errors.CapacityError("that one"))
    again = pickle.loads(pickle.dumps(error))
    assert [str(one) for one in again.completions] == ["this one", "that one"]
    assert (again.grpc_status, again.exit_code) == ("UNAVAILABLE", 4)


def fail(which: str) -> Any:
    """Runs in another process."""
    if which == "shape":
        return (ggml.ones(2, 3) @ ggml.ones(2, 3)).numpy()
    if which == "index":
        return ggml.arange(3.0)[ggml.tensor([5])].numpy()
    if which == "state":
        return nn.Linear(2, 2).load_state_dict({"weight": ggml.ones(3, 3)})
    raise cluster_errors.CapacityError("full: no room; try later")


FAILURES = {
    "shape": errors.ShapeMismatchError,
    "index": errors.IndexOutOfRangeError,
    "state": errors.StateDictError,
    "cluster": cluster_errors.CapacityError,
}


def work(tensor: ggml.Tensor, module: nn.Module) -> tuple[ggml.Tensor, ggml.DType, Any]:
    """Runs in another process."""
    return module(tensor), tensor.dtype, tensor.shape


@pytest.mark.parametrize("method", ["spawn", "fork", "forkserver"])
def test_pools_of_processes(method: str) -> None:
    context = multiprocessing.get_context(method)
    x, module = ggml.ones(1, 2) + 1, nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    with context.Pool(1) as pool:
        for which, kind in FAILURES.items():
            with pytest.raises(kind):
                pool.apply_async(fail, (which,)).get(timeout=120)
        result, dtype, shape = pool.apply_async(work, (x, module)).get(timeout=120)
        assert result.tolist() == module(x).tolist()
        assert dtype is ggml.float32 and shape == x.shape
        assert [one.tolist() for one in pool.map(ggml.exp, [ggml.zeros(2)])] == [[1, 1]]
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as executor:
        for which, kind in FAILURES.items():
            with pytest.raises(kind):
                executor.submit(fail, which).result(timeout=120)
        assert executor.submit(work, x, module).result(timeout=120)[0].tolist() == module(x).tolist()


def _tensors() -> dict[str, ggml.Tensor]:
    plain = {dtype: ggml.arange(6).reshape(2, 3).to(getattr(ggml, dtype)) for dtype in
             ("float32", "float16", "bfloat16", "int32", "int64", "bool")}  # fmt: skip
    return plain | {
        "lazy": ggml.arange(6.0).reshape(2, 3).exp(),
        "quantised": ggml.quantization.quantize(ggml.ones(2, 32), ggml.q8_0),
        "empty": ggml.zeros(0, 3),
        "without axes": ggml.tensor(3.0),
        "borrowed": ggml.from_numpy(np.arange(3, dtype=np.float32)),
        "view of borrowed": ggml.from_numpy(np.arange(6, dtype=np.float32).reshape(2, 3)).T,
        "parameter": nn.Parameter(ggml.ones(2)),
        "buffer": nn.Buffer(ggml.ones(2)),
    }


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", list(_tensors()))
def test_tensors(name: str, way: str) -> None:
    tensor = _tensors()[name]
    again = WAYS[way](tensor)
    assert type(again) is type(tensor)
    assert again.dtype is tensor.dtype and again.shape == tensor.shape and again.device == tensor.device
    assert again.raw_bytes() == tensor.raw_bytes()
    assert again.requires_grad == tensor.requires_grad


def test_a_copy_of_a_tensor_has_memory_of_its_own() -> None:
    array = np.zeros(3, np.float32)
    x = ggml.from_numpy(array)
    copies = [copy.copy(x), copy.deepcopy(x), pickle.loads(pickle.dumps(x))]
    array[:] = 1
    assert all(one.tolist() == [0, 0, 0] for one in copies)


def _things() -> dict[str, Any]:
    return {
        "dtype": ggml.float32,
        "quantised dtype": ggml.q4_k,
        "device": ggml.device("cpu"),
        "size": ggml.ones(2, 3).shape,
        "memory format": ggml.channels_last,
        "relu": ggml.relu,
        "clip": ggml.clip,
        "functional relu": nn.functional.relu,
        "fft": ggml.fft.rfft,
        "norm": ggml.linalg.norm,
    }


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", list(_things()))
def test_names_stay_the_same_objects(name: str, way: str) -> None:
    thing = _things()[name]
    again = WAYS[way](thing)
    assert again == thing and type(again) is type(thing)
    if not isinstance(thing, (tuple, ggml.device("cpu").__class__)):
        assert again is thing


@pytest.mark.parametrize("home", [ggml, nn.functional, ggml.fft, ggml.linalg], ids=lambda home: home.__name__)
def test_every_public_function_can_be_sent(home: Any) -> None:
    functions = {name: found for name, found in vars(home).items() if inspect.isfunction(found) and name[0] != "_"}
    assert len(functions) > 5
    assert [name for name, found in functions.items() if pickle.loads(pickle.dumps(found)) is not found] == []


@pytest.mark.parametrize("way", ["pickle", "deepcopy"])
@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda: nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.GELU()), (3, 4)),
        (lambda: nn.LSTM(4, 4), (3, 2, 4)),
        (lambda: nn.TransformerEncoderLayer(4, 2, 8), (3, 2, 4)),
        (lambda: nn.Conv1d(4, 4, 1), (2, 4, 3)),
        (lambda: nn.EmbeddingBag(4, 4), None),
    ],
)
def test_modules(make: Callable[[], nn.Module], shape: tuple[int, ...] | None, way: str) -> None:
    module = make().eval()
    again = WAYS[way](module)
    x = ggml.rand(*shape) if shape else ggml.tensor([[0, 1]])
    assert again.state_dict().keys() == module.state_dict().keys()
    results = [one[0] if isinstance(one, tuple) else one for one in (again(x), module(x))]
    np.testing.assert_array_equal(results[0].numpy(), results[1].numpy())


@pytest.mark.parametrize("way", ["pickle", "deepcopy"])
def test_a_cache_a_generator_and_a_compiled_function(way: str) -> None:
    cache = nn.KVCache(1, 1, 4, 2)
    cache.update(ggml.ones(1, 1, 1, 2), ggml.ones(1, 1, 1, 2))
    again = WAYS[way](cache)
    keys, _, places = again.update(ggml.full((1, 1, 1, 2), 2.0), ggml.ones(1, 1, 1, 2))
    assert keys[0, 0].tolist() == [[1, 1], [2, 2], [0, 0], [0, 0]] and places.tolist() == [1]
    assert cache.length == 1

    generator = ggml.Generator().manual_seed(3)
    ggml.rand(3, generator=generator)
    other = WAYS[way](generator)
    assert ggml.rand(3, generator=other).tolist() == ggml.rand(3, generator=generator).tolist()

    compiled = ggml.compile(ggml.exp)
    compiled(ggml.zeros(2))
    assert WAYS[way](compiled)(ggml.zeros(2)).tolist() == [1, 1]


def test_what_belongs_to_a_process_says_so(tmp_path: Path) -> None:
    x = ggml.ones(2) + 1
    ggml.eval(x)
    with ggml.arena() as memory:
        for thing in (x.buffer(), x._node, memory):
            for way in ("pickle", "deepcopy"):
                with pytest.raises(TypeError, match="cannot"):
                    WAYS[way](thing)
    with pytest.raises(errors.TracingError):
        ggml.compile(lambda one: pickle.dumps(one) and one)(x)
