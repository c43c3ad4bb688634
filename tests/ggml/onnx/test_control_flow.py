"""If, Loop and Scan beside onnxruntime; and files of them that strangers wrote."""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np
import pytest

import ggml

onnx = pytest.importorskip("onnx", reason="onnx is not installed: pip install 'ggml-cluster[onnx]'")
ort = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install 'ggml-cluster[test]'")

from onnx import TensorProto, helper, numpy_helper, parser  # noqa: E402

from ggml.onnx import limits  # noqa: E402
from ggml.onnx.loading import running  # noqa: E402

X = np.random.default_rng(0).standard_normal((2, 3)).astype(np.float32)
HEAD = '<ir_version: 8, opset_import: ["": 18]>\n'


def model_of(text: str) -> onnx.ModelProto:
    return parser.parse_model(HEAD + text)


def theirs(model: onnx.ModelProto, given: dict[str, np.ndarray]) -> list[np.ndarray]:
    options = ort.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    return ort.InferenceSession(model.SerializeToString(), options).run(None, given)


def ours(model: Any, given: dict[str, np.ndarray], compiled: bool = False) -> list[np.ndarray]:
    loaded = ggml.onnx.load(model)
    function = ggml.compile(loaded) if compiled else loaded
    found = function(**{name: ggml.from_numpy(one) for name, one in given.items()})
    return [one.numpy() for one in (found if isinstance(found, tuple) else (found,))]


def need_equal(model: onnx.ModelProto, given: dict[str, np.ndarray], compiled: bool = False) -> list[np.ndarray]:
    got, wanted = ours(model, given, compiled), theirs(model, given)
    assert len(got) == len(wanted)
    for one, other in zip(got, wanted, strict=True):
        assert one.shape == other.shape and one.dtype == other.dtype
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    return got


BRANCH = """
g (float[2, 3] x) => (float[2, 3] y, float[k] z) <float[3] w = {1, -2, 3}> {
    limit = Constant <value_float = 0.0> ()
    total = ReduceSum <keepdims = 0> (x)
    positive = Greater (total, limit)
    twice = Add (x, x)
    y, z = If (positive) <
        then_branch = yes () => (float[2, 3] a, float[k] b) <float[3] own = {2, 2, 2}> {
            scaled = Mul (twice, own)
            a = Add (scaled, w)
            b = Mul (w, own)
        },
        else_branch = no () => (float[2, 3] c, float[k] d) <float[1] own = {7}> {
            c = Sub (twice, own)
            d = Identity (own)
        }
    >
}
"""


@pytest.mark.parametrize("sign", [1, -1])
def test_a_branch_sees_what_is_around_it_and_has_weights_of_its_own(sign: int) -> None:
    model, x = model_of(BRANCH), np.abs(X) * sign
    need_equal(model, {"x": x})
    loaded = ggml.onnx.load(model)
    assert sorted(name for name, _ in loaded.named_parameters()) == ["own_1", "own_2", "w"]
    y, _ = loaded(ggml.from_numpy(x))
    y.sum().backward()
    grads = {name: one.grad for name, one in loaded.named_parameters()}
    if sign > 0:
        np.testing.assert_allclose(grads["own_1"].numpy(), 2 * x.sum(0), rtol=1e-5)
        np.testing.assert_allclose(grads["w"].numpy(), [2, 2, 2])
        assert grads["own_2"] is None
    else:
        np.testing.assert_allclose(grads["own_2"].numpy(), [-6])
        assert grads["own_1"] is None and grads["w"] is None


def test_a_recorded_branch_is_chosen_at_each_call() -> None:
    model = model_of(
        """g (float[2, 3] x, bool yes) => (float[2, 3] y) {
            y = If (yes) <
                then_branch = a () => (float[2, 3] u) { u = Exp (x) },
                else_branch = b () => (float[2, 3] v) { v = Neg (x) }
            >
        }"""
    )
    fast = ggml.compile(ggml.onnx.load(model))
    for yes in (True, False, True):
        wanted = theirs(model, {"x": X, "yes": np.array(yes)})[0]
        np.testing.assert_allclose(fast(ggml.from_numpy(X), ggml.tensor(yes)).numpy(), wanted, rtol=1e-5)
    with pytest.raises(ggml.TracingError, match=r"If .*must be alike"):
        ours(model_of(BRANCH), {"x": X}, compiled=True)


#: A loop over a carried value, with what each iteration makes as a scan output. ``{trips}`` and ``{going}`` are inputs
#: of the node, ``{again}`` is the condition that the body gives.
LOOP = """
g (float[2, 3] x, int64 n, bool go) => (float[2, 3] y, float[k, 3] rows, int64[k] places) {{
    three = Constant <value_int = 3> ()
    true = Constant <value = bool {{1}}> ()
    false = Constant <value = bool {{0}}> ()
    step = Constant <value_float = 0.5> ()
    most = Constant <value_float = 4.0> ()
    y, rows, places = Loop ({trips}, {going}, x) <
        body = b (int64 i, bool before, float[2, 3] last) => (bool after, float[2, 3] now, float[3] row, int64 place) {{
            number = CastLike (i, step)
            size = Mul (number, step)
            now = Add (last, size)
            zero = Constant <value_ints = [0]> ()
            row = ReduceMean <keepdims = 0> (now, zero)
            place = Mul (i, three)
            total = ReduceMax <keepdims = 0> (now)
            small = Less (total, most)
            after = Identity ({again})
        }}
    >
}}
"""


@pytest.mark.parametrize(
    ("trips", "going", "again"),
    [("three", "", "before"), ("n", "", "true"), ("n", "go", "before"), ("", "true", "small"), ("n", "true", "small"),
     ("three", "false", "true"), ("", "", "small"), ("n", "go", "false")],
)  # fmt: skip
@pytest.mark.parametrize(("count", "go"), [(0, True), (1, True), (5, True), (5, False), (-3, True)])
def test_loops(trips: str, going: str, again: str, count: int, go: bool) -> None:
    model = model_of(LOOP.format(trips=trips or '""', going=going or '""', again=again))
    need_equal(model, {"x": X, "n": np.array(count), "go": np.array(go)})


def test_a_recorded_loop_is_unrolled_and_must_not_follow_elements() -> None:
    given = {"x": X, "n": np.array(2), "go": np.array(True)}
    need_equal(model_of(LOOP.format(trips="three", going="true", again="before")), given, compiled=True)
    for trips, again in (("n", "true"), ("three", "small")):
        with pytest.raises(ggml.TracingError) as caught:
            ours(model_of(LOOP.format(trips=trips, going="true", again=again)), given, compiled=True)
        assert any("Loop" in note for note in caught.value.__notes__)


def test_gradients_pass_through_a_loop() -> None:
    model = model_of(
        """g (float[2, 3] x, int64 n) => (float[2, 3] y) <float[3] w = {0.5, 2, -1}> {
            y = Loop (n, "", x) <
                body = b (int64 i, bool go, float[2, 3] last) => (bool again, float[2, 3] now) {
                    again = Identity (go)
                    now = Mul (last, w)
                }
            >
        }"""
    )
    loaded = ggml.onnx.load(model)
    x = ggml.from_numpy(X).requires_grad_()
    loaded(x, ggml.tensor(4)).sum().backward()
    weight = np.array([0.5, 2, -1], np.float32)
    np.testing.assert_allclose(x.grad.numpy(), np.tile(weight**4, (2, 1)), rtol=1e-5)
    np.testing.assert_allclose(loaded.w.grad.numpy(), 4 * weight**3 * X.sum(0), rtol=1e-5)


def test_what_lies_in_what() -> None:
    """A loop in a loop with a branch in it, which reads values of all that is around it."""
    model = model_of(
        """g (float[2, 3] x, int64 n) => (float[2, 3] y, float[a, b, 2, 3] all) {
            two = Constant <value_int = 2> ()
            y, all = Loop (n, "", x) <
                body = outer (int64 i, bool go, float[2, 3] last) =>
                       (bool again, float[2, 3] now, float[b, 2, 3] rows) {
                    again = Identity (go)
                    trips = Add (i, two)
                    now, rows = Loop (trips, "", last) <
                        body = inner (int64 j, bool on, float[2, 3] before) =>
                               (bool more, float[2, 3] after, float[2, 3] row) {
                            more = Identity (on)
                            odd = Mod (j, two)
                            is_odd = Cast <to = 9> (odd)
                            after = If (is_odd) <
                                then_branch = yes () => (float[2, 3] p) { p = Add (before, x) },
                                else_branch = no () => (float[2, 3] q) { q = Sub (before, last) }
                            >
                            row = Mul (after, after)
                        }
                    >
                }
            >
        }"""
    )
    need_equal(model, {"x": X, "n": np.array(1)})
    loaded = ggml.onnx.load(model)
    with pytest.raises(ggml.ShapeMismatchError):  # the second iteration has one row more
        loaded(ggml.from_numpy(X), ggml.tensor(2))


SCAN = """
g (float[2, 3] state, float[5, 2, 3] a, float[2, 4, 5] b) => (float[2, 3] last, float[5, 2, 3] sums, float[2, 5] tops) {
    last, sums, tops = Scan <
        num_scan_inputs = 2, scan_input_axes = [0, -1], scan_input_directions = [0, 1],
        scan_output_axes = [0, -1], scan_output_directions = [1, 0],
        body = s (float[2, 3] before, float[2, 3] one, float[2, 4] other) =>
                 (float[2, 3] after, float[2, 3] sum, float[2] top) {
            least = ReduceMin <keepdims = 1> (other)
            sum = Add (before, one)
            after = Mul (sum, least)
            place = Constant <value_ints = [1]> ()
            top = ReduceMax <keepdims = 0> (other, place)
        }
    > (state, a, b)
}
"""


@pytest.mark.parametrize("compiled", [False, True])
def test_scans(compiled: bool) -> None:
    random = np.random.default_rng(1)
    a, b = (random.standard_normal(shape).astype(np.float32) for shape in ((5, 2, 3), (2, 4, 5)))
    need_equal(model_of(SCAN), {"state": X, "a": a, "b": b}, compiled)


def test_a_scripted_module_of_torch() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ggml-cluster[torch]'")
    file = io.BytesIO()
    x = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # both ways are deprecated, and many files were written with them
        module = scripted(torch)
        torch.onnx.export(
            module, (x, torch.tensor(3)), file, dynamo=False, input_names=["x", "n"], dynamic_axes={"x": [0]},
            opset_version=17,
        )  # fmt: skip
    raw = file.getvalue()
    ops = {node.op_type for node in onnx.load_model_from_string(raw).graph.node}
    assert {"Loop"} <= ops
    loaded = ggml.onnx.load(raw)
    for rows, n in ((4, 3), (2, 5), (3, 0)):
        x = torch.randn(rows, 3, generator=torch.Generator().manual_seed(rows))
        wanted = module(x, torch.tensor(n)).detach().numpy()
        np.testing.assert_allclose(
            loaded(ggml.from_numpy(x.numpy()), ggml.tensor(n)).numpy(), wanted, rtol=1e-5, atol=1e-6
        )


def scripted(torch: Any) -> Any:
    """A recurrence whose length is an input, and which goes another way where its state is large."""

    class Recurrence(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(3, 3)

        def forward(self, x, n: int):
            for step in range(n):
                x = self.layer(x) + step
                x = x.tanh() if bool(x.abs().max() > 1.5) else x * 2
            return x

    torch.manual_seed(0)
    return torch.jit.script(Recurrence().eval())


def looped(body: onnx.GraphProto, inputs: list[str], outputs: list[str], **weights: Any) -> onnx.ModelProto:
    """A model that is one loop."""
    given = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3])]
    results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in outputs]  # any shape
    held = [numpy_helper.from_array(np.array(one), name) for name, one in weights.items()]
    graph = helper.make_graph([helper.make_node("Loop", inputs, outputs, body=body)], "g", given, results, held)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def body_of(nodes: list[Any], inputs: list[str], outputs: list[str]) -> onnx.GraphProto:
    kinds = [TensorProto.INT64, TensorProto.BOOL, *[TensorProto.FLOAT] * len(inputs)]
    given = [helper.make_tensor_value_info(name, kind, None) for name, kind in zip(inputs, kinds, strict=False)]
    kinds = [TensorProto.BOOL, *[TensorProto.FLOAT] * len(outputs)]
    results = [helper.make_tensor_value_info(name, kind, None) for name, kind in zip(outputs, kinds, strict=False)]
    return helper.make_graph(nodes, "b", given, results)


ADD = helper.make_node("Add", ["v", "x"], ["w"])


@pytest.mark.parametrize("trips", ["", "m"])
@pytest.mark.parametrize("nodes", [[ADD], []])
def test_a_loop_without_an_end(monkeypatch: pytest.MonkeyPatch, trips: str, nodes: list[Any]) -> None:
    monkeypatch.setattr(running, "MAX_STEPS", 500)
    body = body_of(nodes, ["i", "c", "v"], ["c", "w" if nodes else "v"])
    model = looped(body, [trips, "", "x"], ["y"], **({"m": (1 << 63) - 1} if trips else {}))
    with pytest.raises(ggml.ArgumentError, match="does not end within"):
        ours(model, {"x": X})


def test_loops_in_loops_share_one_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "MAX_STEPS", 2000)
    inner = body_of([], ["j", "d", "u"], ["d", "u"])
    body = body_of([helper.make_node("Loop", ["m", "", "v"], ["w"], body=inner)], ["i", "c", "v"], ["c", "w"])
    with pytest.raises(ggml.ArgumentError, match="does not end within"):
        ours(looped(body, ["m", "", "x"], ["y"], m=300), {"x": X})


def test_a_loop_that_doubles_what_it_carries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_HOST_ELEMENTS", 1 << 12)
    double = helper.make_node("Concat", ["v", "v"], ["w"], axis=0)
    model = looped(
        body_of([double], ["i", "c", "v"], ["c", "w"]), ["m", "", "a"], ["y"], m=60, a=np.zeros(64, np.int64)
    )
    with pytest.raises(ggml.ArgumentError, match="elements"):
        ours(model, {"x": X})


def nested(depth: int) -> onnx.ModelProto:
    """Branches in branches."""
    graph = helper.make_graph(
        [helper.make_node("Neg", ["x"], ["r0"])],
        "g",
        [],
        [helper.make_tensor_value_info("r0", TensorProto.FLOAT, None)],
    )
    for at in range(1, depth):
        node = helper.make_node("If", ["t"], [f"r{at}"], then_branch=graph, else_branch=OTHER)
        graph = helper.make_graph([node], "g", [], [helper.make_tensor_value_info(f"r{at}", TensorProto.FLOAT, ["n"])])
    given = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3])]
    whole = helper.make_graph(
        list(graph.node), "g", given, list(graph.output), [numpy_helper.from_array(np.array(True), "t")]
    )
    return helper.make_model(whole, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


OTHER = helper.make_graph(
    [helper.make_node("Abs", ["x"], ["q"])], "o", [], [helper.make_tensor_value_info("q", TensorProto.FLOAT, None)]
)


def test_depth_has_a_bound() -> None:
    np.testing.assert_array_equal(ours(nested(16), {"x": X})[0], -X)
    with pytest.raises(ggml.FileFormatError, match="16 deep"):  # deeper than 33 protobuf itself reads none
        ggml.onnx.load(nested(20).SerializeToString())


@pytest.mark.parametrize(
    ("body", "inputs", "why"),
    [
        (body_of([ADD], ["i", "c", "v"], ["c", "w"]), ["", "", "x", "x"], "takes 3 values"),
        (body_of([ADD], ["i", "c", "v"], ["c"]), ["", "", "x"], "gives 1"),
        (body_of([ADD], ["i", "c", "v"], ["c", "nothing"]), ["", "", "x"], "'nothing' is not an output"),
        (body_of([ADD], ["i", "c", "x"], ["c", "w"]), ["", "", "x"], "not valid|another value's"),
        (body_of([helper.make_node("Neg", ["v"], ["x"])], ["i", "c", "v"], ["c", "x"]), ["", "", "x"],
         "not valid|another value's"),
        (body_of([ADD], ["v", "c", "v"], ["c", "w"]), ["", "", "x"], "not valid|another value's"),
        (body_of([helper.make_node("Neg", ["late"], ["w"])], ["i", "c", "v"], ["c", "w"]), ["", "", "x"],
         "not valid|before"),
        (body_of([ADD], ["i", "c", "v"], ["w", "w"]), ["", "", "x"], "one bool"),
        (body_of([ADD], ["i", "c", "v"], ["c", "w"]), ["x", "", "x"], "integers"),
        (body_of([ADD], ["i", "c", "v"], ["c", "w"]), ["", "x", "x"], "one bool"),
        (body_of([helper.make_node("Det", ["v"], ["w"], name="deep")], ["i", "c", "v"], ["c", "w"]), ["", "", "x"],
         r"Det \(node 'deep', opset 18\)"),
    ],
)  # fmt: skip
def test_loops_that_contradict_themselves(body: onnx.GraphProto, inputs: list[str], why: str) -> None:
    with pytest.raises(ggml.GgmlError, match=why):
        ours(looped(body, inputs, ["y"]), {"x": X})


def test_what_is_no_tensor_is_refused() -> None:
    """Sequences, and graphs that keep weights outside of the file."""
    body = body_of([ADD], ["i", "c", "v"], ["c", "w"])
    outside = TensorProto(name="o", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    outside.external_data.add(key="location", value="w.bin")
    body.initializer.append(outside)
    with pytest.raises(ggml.FileFormatError):
        ggml.onnx.load(looped(body, ["", "", "x"], ["y"]))
    body = body_of([ADD], ["i", "c", "v"], ["c", "w"])
    body.output[1].type.CopyFrom(helper.make_sequence_type_proto(helper.make_tensor_type_proto(1, [2, 3])))
    with pytest.raises(ggml.UnsupportedOpError, match="'w' is a sequence"):
        ggml.onnx.load(looped(body, ["", "", "x"], ["y"]))
