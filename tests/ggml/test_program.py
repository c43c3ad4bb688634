"""The native graph refuses every program that ggml would abort on."""

from __future__ import annotations

import os
import random

import numpy as np
import pytest

from worker_native import Buffer, Graph, borrow_array, ggml_types, kernels, primitive_names

CODES = {name: code for code, name in enumerate(primitive_names())}


SIZES = {
    **dict.fromkeys(("add", "sub", "mul", "div", "get_rows", "gather"), (2, 0)),
    **dict.fromkeys(("mul_mat", "concat", "map2", "take"), (2, 1)),
    **dict.fromkeys(("norm", "rms_norm", "l2_norm", "leaky_relu", "map1", "reduce", "scan"), (1, 1)),
    **dict.fromkeys(("scale", "clamp", "group_norm", "sort", "index"), (1, 2)),
    "map3": (3, 1),
    "norm_affine": (3, 1),
    "attend": (3, 1),
    "lstm_cell": (3, 0),
    "lstm_sequence": (4, 1),
    "scatter": (3, 2),
    "search": (2, 2),
    "paste": (2, 4),
    "copy": (1, 4),
    "view": (1, 5),
}


def step(
    name: str, type: int, ne: tuple[int, ...], sources: tuple[int, ...] = (), params: tuple[int, ...] = ()
) -> list[int]:
    return [CODES[name], type, *ne, len(sources), *sources, len(params), *params]


def build(*steps: list[int], outputs: tuple[int, ...]) -> Graph:
    return Graph("CPU", np.array([word for one in steps for word in one], np.int64), np.array(outputs, np.int64))


def run(graph: Graph, *arrays: np.ndarray) -> np.ndarray:
    (result,) = graph.run([borrow_array("CPU", array) for array in arrays])
    found = np.empty(result.num_bytes, np.uint8)
    result.read(found)
    return found.view(np.float32)


MATRIX = step("input", 0, (4, 2, 1, 1))


def test_a_program_runs() -> None:
    graph = build(step("input", 0, (3, 1, 1, 1)), step("sqr", 0, (3, 1, 1, 1), (0,)), outputs=(1,))
    assert run(graph, np.array([1, 2, 3], np.float32)).tolist() == [1, 4, 9]
    assert run(graph, np.array([3, 2, 1], np.float32)).tolist() == [9, 4, 1]
    assert (graph.num_inputs, graph.num_nodes, graph.num_splits) == (1, 1, 1)


@pytest.mark.parametrize(
    ("steps", "outputs"),
    [
        ([step("input", 0, (4, 1, 1, 1)), step("input", 0, (3, 1, 1, 1)), step("add", 0, (4, 1, 1, 1), (0, 1))], (2,)),
        ([step("input", 26, (4, 1, 1, 1)), step("sqr", 26, (4, 1, 1, 1), (0,))], (1,)),
        ([step("input", 0, (4, 1, 1, 1)), step("view", 0, (5, 1, 1, 1), (0,), (4, 20, 20, 20, 0))], (1,)),
        ([step("input", 0, (4, 1, 1, 1)), step("sqr", 0, (4, 1, 1, 1), (0,))], (0,)),
        ([step("input", 0, (4, 1, 1, 1)), step("sqr", 0, (4, 1, 1, 1), (0,))], (7,)),
        ([step("input", 0, (4, 1, 1, 1)), step("sqr", 0, (4, 1, 1, 1), (1,))], (1,)),
        ([step("input", 2, (33, 1, 1, 1)), step("sqr", 0, (4, 1, 1, 1), (0,))], (1,)),
        ([MATRIX, step("input", 0, (5, 2, 1, 1)), step("mul_mat", 0, (2, 2, 1, 1), (0, 1), (0,))], (2,)),
        ([MATRIX, step("input", 26, (2, 1, 1, 1)), step("get_rows", 0, (4, 2, 1, 1), (0, 1))], (2,)),
        ([step("input", 0, (4, 1, 1, 1)), step("copy", 0, (4, 1, 1, 1), (0,), (1, 4, 2, 0))], (1,)),
        ([step("input", 0, (1 << 50, 1, 1, 1))], (0,)),
        ([[5]], (0,)),
    ],
)  # fmt: skip
def test_programs_that_are_refused(steps: list[list[int]], outputs: tuple[int, ...]) -> None:
    with pytest.raises(ValueError):
        build(*steps, outputs=outputs)


def test_inputs_that_do_not_fit() -> None:
    graph = build(step("input", 0, (3, 1, 1, 1)), step("sqr", 0, (3, 1, 1, 1), (0,)), outputs=(1,))
    with pytest.raises(ValueError):
        graph.run([])
    with pytest.raises(ValueError):
        graph.run([Buffer("CPU", 8)])
    with pytest.raises(TypeError):
        graph.run([None])  # type: ignore[list-item]
    with pytest.raises(ValueError):
        Buffer("CPU", -1)
    with pytest.raises(ValueError):
        Buffer("CPU", 4).write(np.zeros(8, np.uint8))


def test_random_programs_are_built_or_refused() -> None:
    """Steps that mostly fit: whatever is built is also run."""
    rng = random.Random(int(os.environ.get("GGML_FUZZ_SEED", "5")))
    types = [number for _, number, *_ in ggml_types()]
    num_built = 0
    for _ in range(3000):
        steps, shapes = [step("input", rng.choice([0, 0, 0, 1, 26, 27, 8]), (32, 2, 1, 1))], [(32, 2, 1, 1)]
        for _ in range(rng.randint(1, 4)):
            name = rng.choice(list(CODES)[1:])
            ne = rng.choice([*shapes, *shapes, (32, 1, 1, 1), (1, 2, 1, 1), (2, 2, 1, 1), (64, 1, 1, 1)])
            num_sources, num_params = SIZES.get(name, (1, 0))
            sources = tuple(rng.randrange(len(steps)) for _ in range(num_sources))
            params = tuple(rng.choice([0, 1, 2, 4, 32, 128, -1, 256]) for _ in range(num_params))
            steps.append(step(name, rng.choice([0, 0, 0, 27, rng.choice(types)]), ne, sources, params))
            shapes.append(ne)
        try:
            graph = build(*steps, outputs=(len(steps) - 1,))
        except ValueError:
            continue
        num_built += 1
        try:
            graph.run([Buffer("CPU", 4096) for _ in range(graph.num_inputs)])
        except (IndexError, ZeroDivisionError):
            continue
    assert num_built > 30


def test_kernels_have_names() -> None:
    for family in ("map", "reduce", "scan", "sort", "scatter", "search"):
        assert kernels(family)
    with pytest.raises(ValueError):
        kernels("none")
