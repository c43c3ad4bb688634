"""Single nodes over drawn attributes, beside onnxruntime; and ONNX's own tests of nodes."""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ggml

onnx = pytest.importorskip("onnx", reason="onnx is not installed: pip install 'ggml-cluster[onnx]'")
ort = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install 'ggml-cluster[test]'")

from onnx import helper, numpy_helper  # noqa: E402

Random = np.random.Generator


def _f(random: Random, *shape: int) -> Any:
    return random.standard_normal(shape).astype(np.float32)


def _unary(random: Random) -> Any:
    return [np.abs(_f(random, 2, 3, 4)) * 0.9 + 0.05], {}


def _pair(random: Random) -> Any:
    return [_f(random, 2, 3, 4), np.abs(_f(random, *[(4,), (3, 1), (2, 3, 4)][random.integers(3)])) + 0.5], {}


def _slope(random: Random) -> Any:
    return [_f(random, 2, 5)], {"alpha": float(random.uniform(0.1, 2))}


def _reduction(random: Random) -> Any:
    axes = np.array([[0], [-1], [0, 2], [1]][random.integers(4)])
    return [np.abs(_f(random, 2, 3, 4)) + 0.1, axes], {"keepdims": int(random.integers(2))}


def _conv(random: Random) -> Any:
    groups = int(random.choice([1, 2]))
    attributes = {"strides": random.integers(1, 3, 2).tolist(), "dilations": random.integers(1, 3, 2).tolist()}
    if random.integers(2):
        attributes["pads"] = random.integers(0, 3, 4).tolist()
    else:
        attributes |= {"auto_pad": str(random.choice(["SAME_UPPER", "SAME_LOWER", "VALID"])), "dilations": [1, 1]}
    return [_f(random, 2, 4, 9, 8), _f(random, 6, 4 // groups, 3, 2), _f(random, 6)], {"group": groups, **attributes}


def _conv_transpose(random: Random) -> Any:
    stride = random.integers(1, 4, 2)
    attributes = {
        "strides": stride.tolist(), "pads": random.integers(0, 2, 4).tolist(), "group": 2,
        "output_padding": [int(random.integers(0, one)) for one in stride],
    }  # fmt: skip
    return [_f(random, 2, 4, 5, 4), _f(random, 4, 3, 3, 3), _f(random, 6)], attributes


def _pool(random: Random) -> Any:
    attributes = {
        "kernel_shape": [3, 2], "strides": random.integers(1, 4, 2).tolist(), "ceil_mode": int(random.integers(2)),
        "pads": [*random.integers(0, 2, 2).tolist(), *random.integers(0, 2, 2).tolist()],
    }  # fmt: skip
    return [_f(random, 2, 3, 9, 8)], attributes


def _average(random: Random) -> Any:
    inputs, attributes = _pool(random)
    # Where the last window leaves the padding runtimes disagree on what counts.
    return inputs, {**attributes, "ceil_mode": 0, "count_include_pad": int(random.integers(2))}


def _gemm(random: Random) -> Any:
    left, right = (bool(one) for one in random.integers(0, 2, 2))
    shapes = (4, 3) if left else (3, 4), (5, 4) if right else (4, 5)
    attributes = {"transA": int(left), "transB": int(right), "alpha": float(random.uniform(0.5, 2)), "beta": 0.5}
    return [_f(random, *shapes[0]), _f(random, *shapes[1]), _f(random, 5)], attributes


def _resize(random: Random) -> Any:
    mode = str(random.choice(["nearest", "linear", "cubic"]))
    how = str(random.choice(["half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"]))
    attributes = {"mode": mode, "coordinate_transformation_mode": how}
    if mode == "nearest":
        attributes["nearest_mode"] = str(random.choice(["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"]))
    return [_f(random, 1, 2, 5, 6), None, None, np.array([1, 2, *random.integers(2, 12, 2)])], attributes


def _slice(random: Random) -> Any:
    starts, ends = random.integers(-6, 6, 2), random.integers(-6, 6, 2)
    return [_f(random, 4, 5, 3), starts, ends, np.array([1, 0]), random.choice([-2, -1, 1, 2, 3], 2)], {}


def _pads(random: Random) -> Any:
    mode = str(random.choice(["constant", "reflect", "edge"]))
    return [_f(random, 3, 4, 4), random.integers(0, 3, 6)], {"mode": mode}


def _norm(channels: int) -> Callable[[Random], Any]:
    def draw(random: Random) -> Any:
        rows = [_f(random, channels) for _ in range(2)]
        return [_f(random, 2, 4, 3, 6), *rows], {"epsilon": float(random.choice([1e-5, 1e-2]))}

    return draw


def _batch_norm(random: Random) -> Any:
    return [_f(random, 2, 4, 3), *[_f(random, 4) for _ in range(3)], np.abs(_f(random, 4)) + 0.1], {"epsilon": 1e-3}


def _recurrent(gates: int, **attributes: Any) -> Callable[[Random], Any]:
    def draw(random: Random) -> Any:
        direction = str(random.choice(["forward", "reverse", "bidirectional"]))
        count = 2 if direction == "bidirectional" else 1
        weights = _f(random, count, gates * 3, 4), _f(random, count, gates * 3, 3), _f(random, count, gates * 6)
        return [_f(random, 5, 2, 4), *weights], {"hidden_size": 3, "direction": direction, **attributes}

    return draw


def _either(random: Random) -> int:
    return int(random.integers(2))


def _scatter(random: Random) -> Any:
    index = np.stack([random.permutation(4)[:2] for _ in range(3)])
    return [_f(random, 3, 4), index, _f(random, 3, 2)], {"axis": 1}


#: For each operation what draws its inputs and attributes; None leaves an input out.
DRAWN: dict[str, Callable[[Random], Any]] = {
    **dict.fromkeys(
        ["Abs", "Acos", "Asin", "Atan", "Ceil", "Cos", "Cosh", "Erf", "Exp", "Floor", "HardSwish", "Log", "Neg",
         "Reciprocal", "Relu", "Round", "Sigmoid", "Sign", "Sin", "Softplus", "Softsign", "Sqrt", "Tan", "Tanh", "Mish",
         "Identity", "Selu", "Softmax", "LogSoftmax", "GlobalAveragePool", "GlobalMaxPool", "Transpose", "Flatten"],
        _unary,
    ),
    **dict.fromkeys(
        ["Add", "Sub", "Mul", "Div", "Pow", "Max", "Min", "Less", "Greater", "Equal", "LessOrEqual", "GreaterOrEqual"],
        _pair,
    ),
    **dict.fromkeys(["LeakyRelu", "Elu", "Celu", "ThresholdedRelu", "HardSigmoid"], _slope),
    **dict.fromkeys(["ReduceSum", "ReduceMean", "ReduceProd", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2",
                     "ReduceSumSquare", "ReduceLogSum", "ReduceLogSumExp"], _reduction),
    "Conv": _conv, "ConvTranspose": _conv_transpose, "MaxPool": _pool, "AveragePool": _average, "Gemm": _gemm,
    "Resize": _resize, "Slice": _slice, "Pad": _pads, "LayerNormalization": _norm(6), "InstanceNormalization": _norm(4),
    "BatchNormalization": _batch_norm, "LSTM": _recurrent(4), "GRU": _recurrent(3, linear_before_reset=1),
    "RNN": _recurrent(1), "ScatterElements": _scatter,
    "MatMul": lambda random: ([_f(random, 2, 3, 4), _f(random, 4, 5)], {}),
    "Clip": lambda random: ([_f(random, 3, 4), np.float32(-0.5), np.float32(0.5)], {}),
    "Gather": lambda random: ([_f(random, 3, 4, 2), random.integers(-4, 4, (2, 3))], {"axis": 1}),
    "GatherElements": lambda random: ([_f(random, 3, 4), random.integers(-4, 4, (3, 2))], {"axis": 1}),
    "GatherND": lambda random: ([_f(random, 3, 4, 2), random.integers(0, 3, (5, 2))], {}),
    "Where": lambda random: ([random.integers(0, 2, (3, 1)) > 0, _f(random, 3, 4), _f(random, 4)], {}),
    "Concat": lambda random: ([_f(random, 2, 3), _f(random, 2, 1)], {"axis": -1}),
    "Expand": lambda random: ([_f(random, 3, 1), np.array([2, 1, 4])], {}),
    "Tile": lambda random: ([_f(random, 2, 3), random.integers(1, 4, 2)], {}),
    "Reshape": lambda random: ([_f(random, 2, 3, 4), np.array([0, -1])], {}),
    "Squeeze": lambda random: ([_f(random, 2, 1, 3), np.array([1])], {}),
    "Unsqueeze": lambda random: ([_f(random, 2, 3), np.array([0, -1])], {}),
    "CumSum": lambda random: (
        [_f(random, 2, 5), np.array(1)], {"exclusive": _either(random), "reverse": _either(random)}
    ),
    "ArgMax": lambda random: ([_f(random, 3, 4)], {"axis": _either(random), "keepdims": _either(random)}),
    "TopK": lambda random: ([_f(random, 3, 6), np.array([3])], {"largest": _either(random)}),
    "Trilu": lambda random: ([_f(random, 4, 5), np.array(int(random.integers(-2, 3)))], {"upper": _either(random)}),
    "DepthToSpace": lambda random: (
        [_f(random, 1, 8, 2, 3)], {"blocksize": 2, "mode": str(random.choice(["DCR", "CRD"]))}
    ),
    "LRN": lambda random: ([_f(random, 2, 7, 3, 3)], {"size": 3, "alpha": 0.1}),
    "Einsum": lambda random: ([_f(random, 2, 3, 4), _f(random, 2, 4, 5)], {"equation": "bij,bjk->bik"}),
}  # fmt: skip

_OUTPUTS = {"LSTM": 3, "GRU": 2, "RNN": 2, "TopK": 2}


@pytest.mark.parametrize("op", DRAWN)
def test_node(op: str) -> None:
    random = np.random.default_rng(zlib.crc32(op.encode()))
    for _ in range(4):
        inputs, attributes = DRAWN[op](random)
        names = ["" if one is None else f"i{at}" for at, one in enumerate(inputs)]
        outputs = [f"o{at}" for at in range(_OUTPUTS.get(op, 1))]
        node = helper.make_node(op, names, outputs, **attributes)
        given = {name: np.asarray(one) for name, one in zip(names, inputs, strict=True) if one is not None}
        infos = [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(one.dtype), one.shape)
            for name, one in given.items()
        ]
        kind = {"Less": 9, "Greater": 9, "Equal": 9, "LessOrEqual": 9, "GreaterOrEqual": 9, "ArgMax": 7}.get(op, 1)
        kinds = [kind, 7 if op == "TopK" else kind, kind]
        results = [onnx.ValueInfoProto(name=name) for name in outputs]
        for one, number in zip(results, kinds, strict=False):
            one.type.tensor_type.elem_type = number
        graph = helper.make_graph([node], "g", infos, results)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
        model = onnx.shape_inference.infer_shapes(model, data_prop=True)
        options = ort.SessionOptions()
        options.log_severity_level, options.intra_op_num_threads = 4, 1
        wanted = ort.InferenceSession(model.SerializeToString(), options).run(None, given)
        for one, array in zip(model.graph.output, wanted, strict=True):  # every model says the shape of its results
            del one.type.tensor_type.shape.dim[:]
            one.type.tensor_type.shape.dim.extend([onnx.TensorShapeProto.Dimension(dim_value=n) for n in array.shape])
        got = ggml.onnx.load(model)(**{name: ggml.from_numpy(one) for name, one in given.items()})
        for one, other in zip(got if isinstance(got, tuple) else (got,), wanted, strict=True):
            assert tuple(one.shape) == other.shape, attributes
            np.testing.assert_allclose(one.numpy(), other, rtol=1e-4, atol=1e-5, err_msg=f"{op} {attributes}")


@pytest.mark.slow
def test_nodes_of_onnx_itself() -> None:
    """Each of ONNX's tests of operations that are in the table passes, or is refused by a typed error: but for what is
    computed here in another precision."""
    import ggml.onnx.ops  # it fills the table
    from ggml.onnx.table import FROM_ONNX

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnx.backend.test.case.node import collect_testcases

        cases = collect_testcases(None)
    passed, wrong = 0, []
    for case in cases:
        model = case.model
        if model.functions or any(one.domain or one.op_type not in FROM_ONNX for one in model.graph.node):
            continue
        try:
            loaded = ggml.onnx.load(model)
            for inputs, outputs in case.data_sets:
                given = [_array(one) for one in inputs]
                got = loaded(*given)
                for one, other in zip(got if isinstance(got, tuple) else (got,), outputs, strict=True):
                    wide = one.float() if one.dtype is ggml.bfloat16 else one
                    wanted = _array(other)
                    is_half = wanted.dtype.itemsize == 2
                    close = {"rtol": 2e-2, "atol": 1e-2} if is_half else {"rtol": 1e-3, "atol": 1e-5}
                    np.testing.assert_allclose(wide.numpy().astype(np.float64), wanted.astype(np.float64), **close)
            passed += 1
        except ggml.GgmlError:
            continue
        except AssertionError:
            # Small unsigned integers are int32 here, and do not wrap around.
            if not any(_array(one).dtype.kind == "u" for inputs, _ in case.data_sets for one in inputs):
                wrong.append(case.name)
    assert wrong == []
    assert passed > 1100


def _array(value: Any) -> Any:
    return numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else np.asarray(value)
