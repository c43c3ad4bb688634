"""Files that strangers wrote: what is refused, and that it says why."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import ggml

onnx = pytest.importorskip("onnx", reason="onnx is not installed: pip install 'ggml-cluster[onnx]'")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402


def model_of(nodes, *, inputs=(("x", [2, 3]),), outputs=("y",), weights=(), opset=18):
    """A graph of these nodes; what it gives is of any shape."""
    given = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs]
    results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in outputs]
    graph = helper.make_graph(nodes, "g", given, results, list(weights))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def outside(location: str, *, dims=(3,), **entries) -> onnx.TensorProto:
    """A weight that lies in a file of its own."""
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=dims, data_location=TensorProto.EXTERNAL)
    for key, value in {"location": location, **entries}.items():
        tensor.external_data.add(key=key, value=str(value))
    return tensor


def saved(folder: Path, tensor: onnx.TensorProto) -> Path:
    model = model_of([helper.make_node("Add", ["x", "w"], ["y"])], weights=[tensor])
    (folder / "m.onnx").write_bytes(model.SerializeToString())
    return folder / "m.onnx"


def test_weights_beside_the_model_are_read(tmp_path: Path) -> None:
    values = np.arange(6, dtype=np.float32)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "w.bin").write_bytes(values.tobytes())
    loaded = ggml.onnx.load(saved(tmp_path, outside("sub/w.bin", offset=12, length=12)))
    np.testing.assert_array_equal(loaded(ggml.zeros(2, 3)).numpy(), np.tile(values[3:], (2, 1)))


@pytest.mark.parametrize(
    "location", ["../w.bin", "/etc/passwd", "a/../../w.bin", "", ".", "a//w.bin", "..\\w.bin", "link.bin", "up/w.bin",
                 "nothing.bin", "sub", "fifo"],
)  # fmt: skip
def test_weights_elsewhere_are_refused(tmp_path: Path, location: str) -> None:
    folder = tmp_path / "model"
    (folder / "sub").mkdir(parents=True)
    (tmp_path / "w.bin").write_bytes(bytes(12))
    (folder / "link.bin").symlink_to(tmp_path / "w.bin")
    (folder / "up").symlink_to(tmp_path)
    os.mkfifo(folder / "fifo")
    with pytest.raises(ggml.FileFormatError, match="initializer 'w'"):
        ggml.onnx.load(saved(folder, outside(location)))


@pytest.mark.parametrize(
    "entries",
    [{"offset": -4}, {"offset": 4}, {"length": 8}, {"length": "many"}, {"dims": (1 << 40,)}, {"dims": (-3,)}],
)
def test_weights_that_do_not_fit_their_file(tmp_path: Path, entries) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(12))
    with pytest.raises(ggml.FileFormatError, match="initializer 'w'"):
        ggml.onnx.load(saved(tmp_path, outside("w.bin", **entries)))


def test_weights_elsewhere_need_a_folder(tmp_path: Path) -> None:
    raw = saved(tmp_path, outside("w.bin")).read_bytes()
    for source in (raw, onnx.load_model_from_string(raw)):
        with pytest.raises(ggml.FileFormatError, match="give load the path"):
            ggml.onnx.load(source)


def test_no_message_at_all(tmp_path: Path) -> None:
    for raw in (b"", b"\x00" * 64, b"GGUF" + bytes(100), os.urandom(256)):
        with pytest.raises(ggml.GgmlError):
            ggml.onnx.load(raw)
    with pytest.raises(ggml.ArgumentError, match="a path, bytes or a ModelProto"):
        ggml.onnx.load(3)
    whole = model_of([helper.make_node("Relu", ["x"], ["y"])]).SerializeToString()
    with pytest.raises(ggml.GgmlError):
        ggml.onnx.load(whole[: len(whole) // 2])


def test_unknown_operations_are_named_with_node_and_opset() -> None:
    nodes = [
        helper.make_node("Det", ["x"], ["a"], name="first"),
        helper.make_node("Fancy", ["a"], ["y"], name="second", domain="com.example"),
    ]
    model = model_of(nodes)
    model.opset_import.append(helper.make_opsetid("com.example", 1))
    with pytest.raises(ggml.UnsupportedOpError, match=r"Det \(node 'first', opset 18\).*com.example.Fancy.*'second'"):
        ggml.onnx.load(model)


def test_functions_are_refused() -> None:
    body = [helper.make_node("Relu", ["a"], ["b"])]
    model = model_of([helper.make_node("F", ["x"], ["y"], domain="d")])
    model.functions.append(helper.make_function("d", "F", ["a"], ["b"], body, [helper.make_opsetid("", 18)]))
    with pytest.raises(ggml.FileFormatError, match="functions"):
        ggml.onnx.load(model)


@pytest.mark.parametrize("opset", [1, 6, 99])
def test_other_opsets(opset: int) -> None:
    with pytest.raises(ggml.GgmlError):
        ggml.onnx.load(model_of([helper.make_node("Relu", ["x"], ["y"])], opset=opset))


def test_values_that_no_node_made_and_circles() -> None:
    for nodes in (
        [helper.make_node("Add", ["x", "z"], ["y"])],
        [helper.make_node("Add", ["x", "b"], ["a"]), helper.make_node("Relu", ["a"], ["b"]),
         helper.make_node("Relu", ["b"], ["y"])],
    ):  # fmt: skip
        with pytest.raises(ggml.FileFormatError, match="not valid"):
            ggml.onnx.load(model_of(nodes))


def constant(name: str, values) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array(values), name)


@pytest.mark.parametrize(
    ("nodes", "weights"),
    [
        ([helper.make_node("Expand", ["c", "s"], ["y"])], {"c": 1, "s": [1 << 40, 1 << 20]}),
        ([helper.make_node("Tile", ["c", "s"], ["y"])], {"c": [1, 2], "s": [1 << 50]}),
        ([helper.make_node("Range", ["a", "b", "d"], ["y"])], {"a": 0, "b": 1 << 60, "d": 1}),
        ([helper.make_node("Range", ["a", "b", "d"], ["y"])], {"a": 0, "b": 9, "d": 0}),
        ([helper.make_node("ConstantOfShape", ["s"], ["y"])], {"s": [1 << 40, 1 << 20]}),
        ([helper.make_node("Reshape", ["x", "s"], ["y"])], {"s": [7, -1]}),
        ([helper.make_node("Reshape", ["x", "s"], ["y"])], {"s": [-1, -1]}),
        ([helper.make_node("Gather", ["x", "s"], ["y"])], {"s": [5]}),
        ([helper.make_node("Gather", ["x", "s"], ["y"], axis=9)], {"s": [0]}),
        ([helper.make_node("Transpose", ["x"], ["y"], perm=[0, 0])], {}),
        ([helper.make_node("Concat", ["x", "x"], ["y"], axis=5)], {}),
        ([helper.make_node("Split", ["x", "s"], ["y"], axis=1)], {"s": [2, 2]}),
        ([helper.make_node("Slice", ["x", "s", "s", "s", "z"], ["y"])], {"s": [0], "z": [0]}),
        ([helper.make_node("MatMul", ["x", "x"], ["y"])], {}),
        ([helper.make_node("Conv", ["x", "x"], ["y"])], {}),
        ([helper.make_node("Pad", ["x", "s"], ["y"])], {"s": [1 << 45, 0, 0, 1 << 45]}),
        ([helper.make_node("Resize", ["x", "", "", "s"], ["y"])], {"s": [1 << 40, 3]}),
        ([helper.make_node("Unsqueeze", ["x", "s"], ["y"])], {"s": [0, 0]}),
        ([helper.make_node("OneHot", ["s", "d", "v"], ["y"])], {"s": [0], "d": 1 << 40, "v": [0, 1]}),
        ([helper.make_node("Div", ["s", "d"], ["y"])] * 1, {"s": [1 << 62], "d": [0, 0, 0], "e": [1]}),
    ],
)  # fmt: skip
def test_operands_that_make_no_sense_are_typed_errors(nodes, weights) -> None:
    initializers = [constant(name, values) for name, values in weights.items()]
    try:
        loaded = ggml.onnx.load(model_of(nodes, weights=initializers))
        result = loaded(ggml.ones(2, 3))
        assert nodes[0].op_type == "Div" and result.shape == (3,)  # integers over 0 are what numpy makes of them
    except ggml.GgmlError as error:
        assert str(error)


def test_doubling_on_the_host_ends() -> None:
    """A small file whose constants double at each node."""
    nodes = [helper.make_node("Concat", [f"c{at}", f"c{at}"], [f"c{at + 1}"], axis=0) for at in range(60)]
    nodes.append(helper.make_node("Cast", ["c60"], ["y"], to=TensorProto.FLOAT))
    with pytest.raises(ggml.ArgumentError, match="elements"):
        ggml.onnx.load(model_of(nodes, weights=[constant("c0", [1] * 64)]))(ggml.ones(2, 3))


def test_names_that_python_has_taken() -> None:
    names = ["forward", "training", "_modules.a", "a.b", "a.b.c", "", "x.__class__"]
    weights = [numpy_helper.from_array(np.full(3, at, np.float32), name) for at, name in enumerate(names) if name]
    nodes, last = [], "x"
    for at, one in enumerate(weights):
        nodes.append(helper.make_node("Add", [last, one.name], [f"t{at}" if at < len(weights) - 1 else "y"]))
        last = f"t{at}"
    loaded = ggml.onnx.load(model_of(nodes, weights=weights))
    np.testing.assert_array_equal(loaded(ggml.zeros(2, 3)).numpy(), np.full((2, 3), 16, np.float32))
    assert len(loaded.state_dict()) == len(weights)


def test_inputs_are_checked() -> None:
    loaded = ggml.onnx.load(model_of([helper.make_node("Relu", ["x"], ["y"])]))
    with pytest.raises(ggml.ArgumentError, match="missing are"):
        loaded()
    with pytest.raises(ggml.ArgumentError, match="z"):
        loaded(ggml.ones(2, 3), z=ggml.ones(1))
    with pytest.raises(ggml.ShapeMismatchError, match="'x' of shape"):
        loaded(ggml.ones(3, 3))
    with pytest.raises(ggml.DTypeError, match=r"'x' of ggml\.float32"):
        loaded(ggml.ones(2, 3, dtype=ggml.int64))


def test_without_the_package_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib

    def missing(name: str):
        raise ModuleNotFoundError("No module named 'onnx'", name="onnx")

    monkeypatch.delitem(vars(ggml.onnx), "load", raising=False)
    monkeypatch.setattr(ggml.onnx, "import_module", missing)
    assert importlib.import_module is not missing
    with pytest.raises(ggml.UnsupportedOpError, match=r"pip install 'ggml-cluster\[onnx\]'"):
        _ = ggml.onnx.load
