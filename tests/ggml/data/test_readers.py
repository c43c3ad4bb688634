"""Files of images and texts: what is right is read, what is wrong is refused before it does harm."""

from __future__ import annotations

import gzip
import json
import os
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ggml
from ggml.data.datasets import CIFAR10, CIFAR100, MNIST, FashionMNIST, ImageFolder, PackedText
from ggml.data.datasets.mnist import read_idx
from ggml.data.datasets.restricted import load

RNG = np.random.default_rng(0)


def idx(array: np.ndarray, extents: list[int] | None = None) -> bytes:
    shape = extents or list(array.shape)
    return struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape) + array.tobytes()


def write_mnist(root: Path, end: str = "") -> tuple[np.ndarray, list[int]]:
    images, labels = RNG.integers(0, 256, (5, 28, 28), np.uint8), [3, 1, 4, 1, 9]
    root.mkdir(parents=True, exist_ok=True)
    for kind, data in (("images-idx3", idx(images)), ("labels-idx1", idx(np.uint8(labels)))):
        for part in ("train", "t10k"):
            (root / f"{part}-{kind}-ubyte{end}").write_bytes(gzip.compress(data) if end else data)
    return images, labels


@pytest.mark.parametrize(("folder", "end"), [(".", ""), (".", ".gz"), ("MNIST/raw", "")])
def test_mnist(tmp_path: Path, folder: str, end: str) -> None:
    images, labels = write_mnist(tmp_path / folder, end)
    for train in (True, False):
        found = MNIST(tmp_path, train, as_array=True, target_transform=lambda label: label * 10)
        assert len(found) == 5 and (found.data == images).all() and found.targets == labels
        pixels, target = found[4]
        assert (pixels == images[4]).all() and target == 90
    assert found.class_to_idx["4 - four"] == 4
    (x, y), *_ = ggml.data.DataLoader(MNIST(tmp_path, as_array=True), 5)
    assert (x.numpy() == images).all() and y.tolist() == labels


def test_images_are_as_torchvisions(tmp_path: Path) -> None:
    pytest.importorskip("PIL", reason="Pillow is not installed: pip install 'ggml-cluster[vision]'")
    images, _ = write_mnist(tmp_path / "FashionMNIST" / "raw")
    image, target = FashionMNIST(tmp_path)[2]
    assert (image.mode, image.size, target) == ("L", (28, 28), 4) and (np.asarray(image) == images[2]).all()


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"", "does not begin an idx file"),
        (b"\0\0\x08\x03\0\0", "ends after 2 of 12 bytes"),
        (b"\0\0\x07\x01\0\0\0\0", "does not begin"),
        (idx(np.zeros(4, np.uint8), [5]), "are 5 bytes, and there are 4"),
        (idx(np.zeros(6, np.uint8), [5]), "and there are more"),
        (idx(np.zeros(4, np.uint8), [2**32 - 1] * 8), "which the file cannot have"),
    ],
)
@pytest.mark.parametrize("end", ["", ".gz"])
def test_idx_files_that_lie(tmp_path: Path, data: bytes, match: str, end: str) -> None:
    path = tmp_path / f"x{end}"
    path.write_bytes(gzip.compress(data) if end else data)
    with pytest.raises(ggml.FileFormatError, match="x.*" + match):
        read_idx(path)


def test_idx_files_that_are_cut(tmp_path: Path) -> None:
    packed = gzip.compress(idx(RNG.integers(0, 256, 1000, np.uint8)))
    path = tmp_path / "x.gz"
    for wrong in (packed[:-20], b"no gzip at all", packed[:40] + b"\xff" * 40 + packed[80:]):
        path.write_bytes(wrong)
        with pytest.raises(ggml.FileFormatError):
            read_idx(path)


def test_mnist_that_does_not_fit(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nothing is downloaded"):
        MNIST(tmp_path)
    with pytest.raises(ggml.ArgumentError, match="download must be False"):
        MNIST(tmp_path, download=True)
    write_mnist(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(np.uint8([1, 2])))
    with pytest.raises(ggml.FileFormatError, match=r"\(2,\) labels for 5 images"):
        MNIST(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(np.uint8([1, 2, 3, 4, 10])))
    with pytest.raises(ggml.FileFormatError, match="10 is no class"):
        MNIST(tmp_path)


def write_cifar(root: Path, protocol: int, key: Any = str) -> np.ndarray:
    """Archives of CIFAR's shape: 2 images in each file."""
    rows = RNG.integers(0, 256, (12, 3072), np.uint8)
    ten, hundred = root / "cifar-10-batches-py", root / "cifar-100-python"
    ten.mkdir(parents=True)
    hundred.mkdir()

    def write(path: Path, **entries: Any) -> None:
        path.write_bytes(pickle.dumps({key(name): value for name, value in entries.items()}, protocol))

    for number in range(6):
        name = f"data_batch_{number + 1}" if number < 5 else "test_batch"
        write(ten / name, data=rows[2 * number : 2 * number + 2], labels=[number, 9])
    write(ten / "batches.meta", label_names=[key(f"class {i}") for i in range(10)], num_vis=3072)
    for name in ("train", "test"):
        write(hundred / name, data=rows[:2], fine_labels=[99, 0], coarse_labels=[1, 2], filenames=[b"a", b"b"])
    write(hundred / "meta", fine_label_names=[f"c{i}" for i in range(100)])
    return rows


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("key", [str, str.encode])
def test_cifar(tmp_path: Path, protocol: int, key: Any) -> None:
    rows = write_cifar(tmp_path, protocol, key)
    train, test = CIFAR10(tmp_path, as_array=True), CIFAR10(tmp_path, train=False, as_array=True)
    assert (len(train), len(test)) == (10, 2) and train.targets == [0, 9, 1, 9, 2, 9, 3, 9, 4, 9]
    assert (test[1][0] == rows[11].reshape(3, 32, 32).transpose(1, 2, 0)).all() and test.classes[9] == "class 9"
    hundred = CIFAR100(tmp_path / "cifar-100-python", as_array=True)
    assert hundred.targets == [99, 0] and (hundred[0][0] == rows[0].reshape(3, 32, 32).transpose(1, 2, 0)).all()


def test_cifar_as_python_2_wrote_it(tmp_path: Path) -> None:
    """Texts of bytes, and an array whose elements are such a text."""
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntU\x01btR(I1\n(I1\nI3\ntcnumpy\ndtype\n"
        b"(U\x02u1I0\nI1\ntR(I3\nU\x01|NNNI-1\nI-1\nI0\ntbI00\nU\x03\x00\x80\xfftb"
    )
    path = tmp_path / "x"
    path.write_bytes(b"\x80\x02}(U\x04data" + array + b"U\x06labels](K\x01K\x02eu.")
    found = load(path)
    assert found["data"].tolist() == [[0, 128, 255]] and found["labels"] == [1, 2]


class Evil:
    def __init__(self, *call: Any) -> None:
        self.call = call

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (pickle.dumps(Evil(os.system, ("touch pwned",))), "names posix.system"),
        (b"cbuiltins\neval\n(S'1'\ntR.", "names builtins.eval"),
        (pickle.dumps({"x": np.array([Evil(os.getcwd, ())], object)}), "expected numbers|names posix"),
        (pickle.dumps(bytearray(3), 5), "BYTEARRAY8 has no place"),
        (b"\x80\x05\x96\xff\xff\xff\xff\xff\xff\xff\x7f.", "is not plain data"),
        (b"\x80\x02]r\xff\xff\xff\x7f.", "memo 2147483647 is too large"),
        (b"\x80\x04cnumpy\ndtype\n}\x8c\x08_DType__\x8c\x01xsb.", "a name is given a state"),
        (b"\x80\x04cnumpy\ndtype\n.", "a name where data should be"),
        (b"\x80\x04)" + b"\x85" * 20_000 + b".", "more than 10000 tuples"),
        (b"\x80\x04" + b"]" * 30 + b"a" * 29 + b".", "nested too deep"),
        (b"", "is not plain data"),
        (b"\x80\x04]", "is not plain data"),
        (pickle.dumps(np.zeros(3, np.uint8), 2).replace(b"K\x03\x85", b"K\x04\x85"), "with 3 bytes"),
        (pickle.dumps(np.zeros(3, "M8[s]"), 2), "expected numbers"),
    ],
)
def test_pickles_that_are_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: bytes, match: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("x").write_bytes(data)
    with pytest.raises(ggml.FileFormatError, match=match):
        load("x")
    assert not Path("pwned").exists()


def test_a_pickle_that_repeats_itself_takes_no_time(tmp_path: Path) -> None:
    nested: Any = []
    for _ in range(14):
        nested = [nested] * 100
    (tmp_path / "x").write_bytes(pickle.dumps(nested))
    assert len(load(tmp_path / "x")) == 100


def test_cifar_that_does_not_fit(tmp_path: Path) -> None:
    write_cifar(tmp_path, 4)
    path = tmp_path / "cifar-10-batches-py" / "test_batch"
    pixels = np.zeros((2, 3072), np.uint8)
    for wrong, match in (
        ([1], "expected a dict"),
        ({"labels": [1, 2]}, "data: is missing"),
        ({"data": pixels[:, :3], "labels": [1, 2]}, r"uint8 \[N, 3072\]"),
        ({"data": pixels.astype(np.float32), "labels": [1, 2]}, r"uint8 \[N, 3072\]"),
        ({"data": pixels, "labels": [1]}, "no list of 2 classes"),
        ({"data": pixels, "labels": [1, 10]}, r"not in \[0, 10\)"),
    ):
        path.write_bytes(pickle.dumps(wrong))
        with pytest.raises(ggml.FileFormatError, match=match):
            CIFAR10(tmp_path, train=False, as_array=True)


def test_image_folder(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed: pip install 'ggml-cluster[vision]'")
    for place, color in (("b/x.png", 10), ("a/deep/y.png", 20), ("a/z.PNG", 30)):
        path = tmp_path / place
        path.parent.mkdir(parents=True, exist_ok=True)
        image.new("L", (3, 2), color).save(path, format="png")
    (tmp_path / "a" / "notes.txt").write_text("no image")
    (tmp_path / "a" / "deep" / "up").symlink_to(tmp_path / "a")
    found = ImageFolder(tmp_path, transform=lambda picture: (picture.mode, picture.getpixel((0, 0))[0]))
    assert (found.classes, found.class_to_idx, found.targets) == (["a", "b"], {"a": 0, "b": 1}, [0, 0, 1])
    assert [found[i] for i in range(3)] == [(("RGB", 30), 0), (("RGB", 20), 0), (("RGB", 10), 1)]
    (tmp_path / "b" / "x.png").write_bytes(b"\x89PNG spoilt")
    with pytest.raises(ggml.FileFormatError, match=r"x\.png: image"):
        found[2]
    (tmp_path / "c").mkdir()
    with pytest.raises(FileNotFoundError, match="class 'c'"):
        ImageFolder(tmp_path)
    assert ImageFolder(tmp_path, allow_empty=True).classes == ["a", "b", "c"]


def test_what_needs_pillow_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "PIL.Image", None)
    monkeypatch.setitem(__import__("sys").modules, "PIL", None)
    (tmp_path / "a").mkdir()
    with pytest.raises(ggml.ModuleError, match=r"ImageFolder: needs Pillow: pip install 'ggml-cluster\[vision\]'"):
        ImageFolder(tmp_path)


def test_packed_text(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text("\n".join(json.dumps({"text": text, "n": 1}) for text in ("abc", "", "défg")) + "\n\n")
    packed = PackedText(path, lambda text: list(text.encode()), 3, end_token=0)
    want = [*b"abc", 0, 0, *"défg".encode(), 0]
    assert packed.tokens.tolist() == want and len(packed) == 3
    x, y = packed[1]
    assert (x.tolist(), y.tolist()) == (want[3:6], want[4:7]) and packed[-1][1].tolist() == want[7:10]
    with pytest.raises(IndexError, match="outside of 3 sequences"):
        packed[3]
    (inputs, targets), *_ = ggml.data.DataLoader(packed, 3)
    assert inputs.dtype is ggml.int64 and inputs.tolist() == np.reshape(want[:9], (3, 3)).tolist()
    assert targets.flatten().tolist() == want[1:10]

    class Words:
        def encode(self, text: str) -> list[int]:
            return [len(word) for word in text.split()]

    assert PackedText([path, path], Words(), 2).tokens.tolist() == [3, 4, 3, 4]


def test_texts_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    for wrong, match in (
        (b'{"text": "a"}\n{"text', "line 2: is no JSON"),
        (b'{"texts": "a"}', "line 1: is no object with a text as 'text'"),
        (b"[" * 100_000, "line 1: is no"),
        (b'{"text": "\xff"}', "line 1: is no JSON"),
    ):
        path.write_bytes(wrong)
        with pytest.raises(ggml.FileFormatError, match=match):
            PackedText(path, str.encode, 2)
    path.write_text('{"text": "a b"}')
    with pytest.raises(ggml.ArgumentError, match="something else than integers"):
        PackedText(path, str.split, 2)
    with pytest.raises(ggml.DTypeError, match="as tokenizer"):
        PackedText(path, 3, 2)
