"""The native graph refuses every program that ggml would abort on."""

from __future__ import annotations

import os
import random

import numpy as np
import pytest

import ggml
from worker_native import Buffer, Graph, borrow_array, ggml_types, kernels, primitive_names

FAMILIES = ("map", "reduce", "reduce_columns", "scan", "sort", "exp_rows", "scatter", "search")
# Every primitive but the input, and of a family each of its kernels.
NAMES = sorted({*primitive_names()} - {"input", *FAMILIES}) + sorted(
    {f"{family}:{name}" for family in FAMILIES for name, *_ in kernels(family)}
)

SIZES = {
    **dict.fromkeys(("add", "sub", "mul", "div", "get_rows", "gather"), (2, 0)),
    **dict.fromkeys(("mul_mat", "concat", "take"), (2, 1)),
    **dict.fromkeys(("norm", "rms_norm", "l2_norm", "leaky_relu"), (1, 1)),
    **dict.fromkeys(("scale", "clamp", "group_norm", "index"), (1, 2)),
    **dict.fromkeys(("map", "reduce", "reduce_columns", "scan", "exp_rows"), (1, 0)),
    "sort": (1, 1),
    "norm_affine": (3, 1),
    "attend": (3, 1),
    "pack": (1, 0),
    "multiply": (2, 0),
    "product": (2, 14),
    **dict.fromkeys(("multiply_bias", "rotate"), (3, 0)),
    "adam_step": (7, 4),
    "lstm_cell": (3, 0),
    "lstm_sequence": (4, 1),
    "scatter": (3, 1),
    "search": (2, 1),
    "paste": (2, 4),
    "copy": (1, 4),
    "view": (1, 5),
}


Step = tuple[str, list[int]]


def step(
    name: str, type: int, ne: tuple[int, ...], sources: tuple[int, ...] = (), params: tuple[int, ...] = ()
) -> Step:
    return name, [type, *ne, len(sources), *sources, len(params), *params]


def build(*steps: Step, outputs: tuple[int, ...]) -> Graph:
    """The names in an order of their own: nothing may depend on it."""
    names = sorted({name for name, _ in steps}, reverse=True)
    words = [word for name, rest in steps for word in (names.index(name), *rest)]
    return Graph("CPU", names, np.array(words, np.int64), np.array(outputs, np.int64))


def run(graph: Graph, *arrays: np.ndarray) -> np.ndarray:
    (result,) = graph.run([borrow_array("CPU", array) for array in arrays])
    found = np.empty(result.num_bytes, np.uint8)
    result.read(found)
    return found.view(np.float32)


MATRIX = step("input", 0, (4, 2, 1, 1))
DEEP, MANY = 4562284561, 16 * 17 * 241 * 61681


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
        ([("input", [])], (0,)),
        ([MATRIX, step("", 0, (4, 2, 1, 1), (0,))], (1,)),
        ([MATRIX, step("sqr:", 0, (4, 2, 1, 1), (0,))], (1,)),
        ([MATRIX, step("sqr:sqr", 0, (4, 2, 1, 1), (0,))], (1,)),
        ([MATRIX, step("map", 0, (4, 2, 1, 1), (0,))], (1,)),
        ([MATRIX, step("map:", 0, (4, 2, 1, 1), (0,))], (1,)),
        ([MATRIX, step("map:none", 0, (4, 2, 1, 1), (0,))], (1,)),
        ([MATRIX, step("map:mul", 0, (4, 2, 1, 1), (0,))], (1,)),
        ([MATRIX, step("map:mul", 27, (4, 2, 1, 1), (0, 0))], (1,)),
        ([MATRIX, step("reduce:mul", 0, (4, 2, 1, 1), (0, 0))], (1,)),
        # DEEP * MANY elements are 16 more than 64 bits count.
        ([step("input", 0, (16, 1, 1, 1)), step("input", 0, (DEEP, 1, 1, 1)),
          step("multiply", 0, (1, MANY, 1, 1), (0, 1))], (2,)),
    ],
)  # fmt: skip
def test_programs_that_are_refused(steps: list[Step], outputs: tuple[int, ...]) -> None:
    with pytest.raises(ValueError):
        build(*steps, outputs=outputs)


@pytest.mark.parametrize("strides", [(0, 4, 16, 16), (12, 4, 0, 8), (4, 4, 4, 4)])
def test_the_stride_of_a_single_element_tells_nothing(strides: tuple[int, ...]) -> None:
    """ggml asserts those of rows it calls contiguous."""
    column = step("view", 0, (1, 4, 1, 1), (0,), (*strides, 0))
    graph = build(step("input", 0, (4, 1, 1, 1)), column, step("rms_norm", 0, (1, 4, 1, 1), (1,), (0,)), outputs=(2,))
    assert run(graph, np.array([3, -2, 0.5, -7], np.float32)).tolist() == [1, -1, 1, -1]
    weight = step("input", 0, (1, 3, 1, 1))
    product = step("mul_mat", 0, (3, 4, 1, 1), (2, 1), (0,))
    graph = build(step("input", 0, (4, 1, 1, 1)), column, weight, product, outputs=(3,))
    left, right = np.array([3, -2, 0.5, -7], np.float32), np.array([1, 2, 4], np.float32)
    assert run(graph, left, right).tolist() == np.outer(left, right).reshape(-1).tolist()


def test_a_bad_index_writes_nothing_whichever_worker_would_find_it() -> None:
    """Place 0 stands for it until the run ends, and the rows there would be overwritten."""
    steps = [
        step("input", 0, (256, 64, 1, 1)),
        step("input", 0, (256, 1, 1, 1)),
        step("input", 27, (1, 1, 1, 1)),
        step("index", 26, (1, 1, 1, 1), (2,), (64, 0)),
        step("set_rows", 0, (256, 64, 1, 1), (0, 1, 3)),
        step("sqr", 0, (256, 64, 1, 1), (4,)),
        # Work for which a graph takes all threads.
        step("input", 0, (512, 512, 1, 1)),
        step("mul_mat", 0, (512, 512, 1, 1), (6, 6), (0,)),
    ]
    before = ggml.get_num_threads()
    ggml.set_num_threads(2)
    try:
        graph = build(*steps, outputs=(5, 7))
        assert graph.num_threads == 2
        square = np.ones((512, 512), np.float32)
        fixed = [borrow_array("CPU", one) for one in (np.full(256, 7, np.float32), np.array([99]), square)]
        for _ in range(100):
            state = Buffer("CPU", 256 * 64 * 4)
            state.write(np.zeros(256 * 64 * 4, np.uint8))
            with pytest.raises(IndexError, match="index 99 is out of bounds for size 64"):
                graph.run([state, *fixed])
            found = np.empty(state.num_bytes, np.uint8)
            state.read(found)
            assert not found.any()
    finally:
        ggml.set_num_threads(before)


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
    for _ in range(5000):
        steps, shapes = [step("input", rng.choice([0, 0, 0, 1, 26, 27, 8]), (32, 2, 1, 1))], [(32, 2, 1, 1)]
        for _ in range(rng.randint(1, 4)):
            name = rng.choice(NAMES)
            ne = rng.choice([*shapes, *shapes, (32, 1, 1, 1), (1, 2, 1, 1), (2, 2, 1, 1), (64, 1, 1, 1)])
            num_sources, num_params = SIZES.get(name.partition(":")[0], (1, 0))
            if name.startswith("map:"):
                num_sources = rng.randint(1, 3)
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
    for family in FAMILIES:
        assert kernels(family)
    for name in ("none", "mul_mat"):
        with pytest.raises(ValueError):
            kernels(name)


def test_a_step_names_its_primitive_and_its_kernel() -> None:
    pair = (step("input", 0, (3, 1, 1, 1)), step("input", 0, (3, 1, 1, 1)))
    graph = build(*pair, step("map:mul", 0, (3, 1, 1, 1), (0, 1)), outputs=(2,))
    assert run(graph, np.array([1, 2, 3], np.float32), np.array([4, 5, 6], np.float32)).tolist() == [4, 10, 18]
    sizes = np.array([3, 1, 1, 1], np.int64)
    for place in (-1, 1, 1 << 40):
        with pytest.raises(ValueError, match="name"):
            Graph("CPU", ["input"], np.array([place, 0, *sizes, 0, 0], np.int64), np.array([0], np.int64))
