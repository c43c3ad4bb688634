"""What export writes gives ggml's numbers in onnxruntime, and here again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import ggml
from ggml import nn
from ggml.nn import functional as F

onnx = pytest.importorskip("onnx", reason="onnx is not installed: pip install 'ggml-cluster[onnx]'")
ort = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install 'ggml-cluster[test]'")

from tests.ggml.onnx.models import CASES, drawn, flat, made, need_close  # noqa: E402

#: Whole models take seconds each: the small ones of their kinds are run by default.
NAMES = [
    pytest.param(name, marks=pytest.mark.slow if name in ("resnet", "resnet18", "mobilenet") else ()) for name in CASES
]


def run(model, *inputs):
    """The results of onnxruntime."""
    options = ort.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 3, 1
    session = ort.InferenceSession(model.SerializeToString(), options)
    return session.run(None, {one.name: array for one, array in zip(session.get_inputs(), inputs, strict=True)})


@pytest.mark.parametrize("name", NAMES)
def test_models_give_the_same_numbers_there_and_back(name: str) -> None:
    model, case = made(name), CASES[name]
    x = drawn(name, case.shape)
    exported = ggml.onnx.export(model, ggml.from_numpy(x))
    wanted = flat(model(ggml.from_numpy(x)))
    need_close(run(exported, x), wanted)
    need_close(flat(ggml.onnx.load(exported)(ggml.from_numpy(x))), wanted)


@pytest.mark.parametrize("name", [one for one in NAMES if one.values != ("resnet",)])
def test_dynamic_axes_take_other_sizes(name: str) -> None:
    model, case = made(name), CASES[name]
    exported = ggml.onnx.export(model, ggml.from_numpy(drawn(name, case.shape)), dynamic_shapes=(case.axes,))
    loaded = ggml.onnx.load(exported)
    for shape in (case.shape, case.other):
        x = drawn(name, shape)
        wanted = flat(model(ggml.from_numpy(x)))
        need_close(run(exported, x), wanted)
        need_close(flat(loaded(ggml.from_numpy(x))), wanted)
    assert [one.dim_param for one in exported.graph.input[0].type.tensor_type.shape.dim if one.dim_param] == [
        *case.axes.values()
    ]


@pytest.mark.parametrize("opset", [18, 20, 21, 23])
def test_every_opset_that_is_offered(opset: int) -> None:
    model, x = made("mlp"), drawn("mlp", (2, 4))
    exported = ggml.onnx.export(model, ggml.from_numpy(x), opset_version=opset)
    assert [one.version for one in exported.opset_import] == [opset]
    need_close(run(exported, x), flat(model(ggml.from_numpy(x))))


def test_batch_norms_are_one_node_and_keep_their_names() -> None:
    model = made("resnet")
    exported = ggml.onnx.export(model, ggml.randn(1, 3, 32, 32))
    ops = [node.op_type for node in exported.graph.node]
    assert ops.count("BatchNormalization") == 12 and "Reciprocal" not in ops
    loaded = ggml.onnx.load(exported)
    own = {name for name in model.state_dict() if not name.endswith("num_batches_tracked")}
    assert set(loaded.state_dict()) == own
    assert {name for name, _ in loaded.named_buffers()} == {name for name in own if "running" in name}


def test_weights_in_a_file_of_their_own(tmp_path: Path) -> None:
    model, x = made("mlp"), ggml.randn(2, 4)
    model[3] = nn.Linear(8, 300)
    ggml.onnx.export(model, x, tmp_path / "m.onnx", external_data=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.onnx", "m.onnx.data"]
    assert (tmp_path / "m.onnx.data").stat().st_size >= 8 * 300 * 4
    session = ort.InferenceSession(str(tmp_path / "m.onnx"))
    need_close(session.run(None, {"input": x.numpy()}), flat(model(x)))
    need_close(flat(ggml.onnx.load(tmp_path / "m.onnx")(x)), flat(model(x)))


def test_names_of_inputs_and_results_and_several_of_each() -> None:
    def both(a, others, *, scale=2.0, c):
        return {"sum": a + others[0] * scale, "product": (others[1] * c).sum(-1)}

    args = [ggml.randn(2, 3) for _ in range(4)]
    exported = ggml.onnx.export(
        both, (args[0], (args[1], args[2])), kwargs={"c": args[3]}, output_names=["total", "product"]
    )
    assert [one.name for one in exported.graph.input] == ["a", "others_1", "others_2", "c"]
    assert [one.name for one in exported.graph.output] == ["total", "product"]
    result = both(args[0], args[1:3], c=args[3])
    need_close(run(exported, *[one.numpy() for one in args]), [one.numpy() for one in result.values()])
    renamed = ggml.onnx.export(both, (args[0], args[1:3]), kwargs={"c": args[3]}, input_names=["x", "y"])
    assert [one.name for one in renamed.graph.input] == ["x", "y", "others_2", "c"]


def test_the_mode_of_a_module_comes_back_and_weights_are_as_they_were() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5)).train()
    model[0].eval()
    exported = ggml.onnx.export(model, ggml.ones(1, 3))
    assert [module.training for module in model.modules()] == [True, False, True]
    assert "Dropout" not in {node.op_type for node in exported.graph.node}


def test_compiled_modules_and_the_older_form_of_axes() -> None:
    model, x = made("mlp"), drawn("mlp", (7, 4))
    exported = ggml.onnx.export(
        ggml.compile(model), ggml.randn(2, 4), input_names=["x"], output_names=["y"], dynamic_axes={"x": [0], "y": [0]}
    )
    need_close(run(exported, x), flat(model(ggml.from_numpy(x))))
    assert exported.graph.output[0].type.tensor_type.shape.dim[0].dim_param == "x_dynamic_axes_0"


def _rows(x):
    """Rows that no model above records."""
    yield "comparisons", x, lambda x: (x.gt(0) & x.lt(1)) | x.eq(0.5)
    yield "where", x, lambda x: ggml.where(x.ne(0), x, -1.0).to(ggml.int64)
    yield "rounding", x, lambda x: x.floor() + x.ceil() * 2 + x.round() * 3 + x.trunc() * 4 + x.frac() * 5
    yield "logs", x.abs() + 1, lambda x: x.log() + x.log1p() + x.log2() + x.log10() + x.rsqrt() + x.sqrt()
    yield "powers", x, lambda x: x.exp() + x.exp2() + x.expm1() + x.pow(2) + 2.0**x + x.erf() + x.square()
    yield "division", x, lambda x: x.remainder(0.7) + x.fmod(0.7) + ggml.div(x, 0.3, rounding_mode="floor")
    yield "truncation", x, lambda x: ggml.div(x, 0.3, rounding_mode="trunc")
    yield "reductions", x, lambda x: (x.sum(0), x.mean(-1, True), x.amax((0, 1)), x.amin(2), x.prod(1))
    yield "places", x, lambda x: (x.argmax(1), x.argmin(), x.sort(-1).values, x.topk(2).indices)
    yield "truth", x, lambda x: (x.gt(0).any(1), x.gt(-9).all(), x.isnan().logical_not())
    yield "scans", x, lambda x: (x.cumsum(1), x.tril(), x.triu(1))
    yield "slices", x, lambda x: (x[:, 1:, ::2], x[..., -1], x.flip(1), x[:, [2, 0]], x.roll(1, 0))
    yield (
        "joins",
        x,
        lambda x: (ggml.cat([x, x * 2], 1), ggml.stack([x, x]), x.repeat(2, 1, 1), x.expand(2, -1, -1, -1)),
    )
    yield "pads", x, lambda x: (F.pad(x, (1, 2), value=3.0), F.pad(x, (-1, 1)), F.pad(x, (1, 1), "reflect"))
    yield "pools", x, lambda x: (F.max_pool1d(x, 2, ceil_mode=True), F.avg_pool1d(x, 3, 2, 1, count_include_pad=False))
    yield "resizing", x[None], lambda x: (
        F.interpolate(x, size=(7, 3)), F.interpolate(x, size=(7, 9), mode="bicubic"),
        F.interpolate(x, scale_factor=1.7, mode="bilinear"), F.interpolate(x, size=(5, 5), mode="nearest-exact"),
        F.interpolate(x, size=(6, 8), mode="bilinear", align_corners=True),
    )  # fmt: skip
    yield "activations", x, lambda x: (
        F.leaky_relu(x), F.elu(x), F.hardsigmoid(x), F.silu(x), F.gelu(x, "tanh"), F.softplus(x), F.mish(x), F.relu6(x)
    )  # fmt: skip
    yield "gather", x, lambda x: x.gather(1, x.argsort(1))
    yield "swiglu", x, lambda x: F.swiglu(x, x + 1) + F.geglu(x, x)
    attention = F.scaled_dot_product_attention
    mask = ggml.ones(4, 4).tril().gt(0)
    yield "masked attention", x[None], lambda x: attention(x, x, x, attn_mask=mask)
    yield "grouped heads", x[None], lambda x: attention(x, x[:, :2], x[:, :2], enable_gqa=True)
    yield "norms", x, lambda x: F.layer_norm(x, (4, 5)) + F.rms_norm(x, (5,)) + F.group_norm(x, 2)
    yield "half", x.half(), lambda x: (x * 2 + 1).softmax(-1)
    yield "integers", x.mul(9).to(ggml.int64), lambda x: (x * 2 + 1, x // 3, x % 4, x.clamp(-2, 2), x & 5, ~x)
    yield "integer division", x.mul(9).to(ggml.int64), lambda x: ggml.div(x, 3, rounding_mode="trunc")


def _names():
    return [name for name, *_ in _rows(ggml.ones(4, 4, 5))]


@pytest.mark.parametrize("name", _names())
def test_rows(name: str) -> None:
    values = np.random.default_rng(3).standard_normal((4, 4, 5)).astype(np.float32)
    x, function = next((one[1], one[2]) for one in _rows(ggml.from_numpy(values)) if one[0] == name)
    wanted = flat(function(x))
    tolerance = 2e-3 if name == "half" else 1e-4
    exported = ggml.onnx.export(function, x)
    need_close(run(exported, x.numpy()), wanted, tolerance)
    need_close(flat(ggml.onnx.load(exported)(x)), wanted, tolerance)


def test_what_cannot_be_written_says_why() -> None:
    x = ggml.ones(2, 3)
    with pytest.raises(ggml.UnsupportedOpError, match=r"lgamma.*table has no nodes"):
        ggml.onnx.export(lambda x: x.lgamma(), x)
    with pytest.raises(ggml.UnsupportedOpError, match="operations that are recorded differ"):
        ggml.onnx.export(nn.GRU(3, 2, batch_first=True), ggml.ones(2, 3, 3), dynamic_shapes=({1: "time"},))
    with pytest.raises(ggml.UnsupportedOpError, match=r"mul: .*follow the sizes"):
        ggml.onnx.export(lambda x: x * x.shape[0], x, dynamic_shapes=({0: "n"},))
    with pytest.raises(ggml.ArgumentError, match="opset_version must lie between 18 and 23"):
        ggml.onnx.export(lambda x: x, x, opset_version=9)
    with pytest.raises(ggml.ArgumentError, match="size 'n' is 2 and 3"):
        ggml.onnx.export(lambda x: x, x, dynamic_shapes=({0: "n", 1: "n"},))
    with pytest.raises(ggml.ArgumentError, match="outside of its shape"):
        ggml.onnx.export(lambda x: x, x, dynamic_shapes=({5: "n"},))
    with pytest.raises(ggml.ArgumentError, match="different names"):
        ggml.onnx.export(lambda x, y: x + y, (x, x), input_names=["a", "a"])
    with pytest.raises(ggml.DTypeError, match="dequantise"):
        model = nn.Sequential(nn.Linear(32, 2))
        ggml.quantization.quantize_(model, ggml.q8_0)
        ggml.onnx.export(model, ggml.ones(1, 32))
    with pytest.raises(ggml.TracingError):
        ggml.onnx.export(lambda x: x * x.sum().item(), x)
