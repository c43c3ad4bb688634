"""What torch.onnx.export wrote gives torch's numbers here."""

from __future__ import annotations

import io
import warnings

import numpy as np
import pytest

import ggml

onnx = pytest.importorskip("onnx", reason="onnx is not installed: pip install 'ggml-cluster[onnx]'")
torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ggml-cluster[torch]'")

from tests.ggml.onnx.models import flat, need_close  # noqa: E402
from tests.ggml.torchvision_ops import make_importable  # noqa: E402


class Decoder(torch.nn.Module):
    """One block of a decoder over [B, T] tokens."""

    def __init__(self, vocabulary: int = 32, width: int = 16, heads: int = 4) -> None:
        super().__init__()
        nn = torch.nn
        self.tokens, self.places, self.heads = nn.Embedding(vocabulary, width), nn.Embedding(64, width), heads
        self.norm, self.qkv, self.out = nn.LayerNorm(width), nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.head = nn.Linear(width, vocabulary, bias=False)

    def forward(self, ids):
        batch, length = ids.shape
        x = self.tokens(ids) + self.places(torch.arange(length))
        parts = self.qkv(self.norm(x)).reshape(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        seen = torch.nn.functional.scaled_dot_product_attention(*parts.unbind(0), is_causal=True)
        return self.head(torch.nn.functional.gelu(x + self.out(seen.transpose(1, 2).reshape(batch, length, -1))))


def _conv_net():
    nn = torch.nn
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 8, 3, groups=2, stride=2, padding=1), nn.GroupNorm(4, 8), nn.Hardswish(),
        nn.ConvTranspose2d(8, 4, 3, stride=2, padding=1, output_padding=1), nn.InstanceNorm2d(4), nn.AvgPool2d(2),
        nn.Upsample(scale_factor=2, mode="bilinear"), nn.Upsample(scale_factor=2, mode="bicubic"),
        nn.Upsample(scale_factor=2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3), nn.LogSoftmax(-1),
    )  # fmt: skip


def _vision(name: str):
    make_importable()
    models = pytest.importorskip("torchvision", reason="torchvision is not installed").models
    if name == "vit":
        return models.VisionTransformer(16, 8, 2, 2, 16, 32, num_classes=5)
    return getattr(models, name)(num_classes=5)


def _mlp():
    nn = torch.nn
    return nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Dropout(), nn.Linear(8, 3), nn.Softmax(-1))


#: What makes the model, the shape of its input, and the axes that may change.
CASES = {
    "mlp": (_mlp, (2, 4), [0]),
    "conv": (_conv_net, (2, 3, 16, 16), [0]),
    "vit": (lambda: _vision("vit"), (2, 3, 16, 16), [0]),
    "resnet18": (lambda: _vision("resnet18"), (2, 3, 32, 32), [0]),
    "mobilenet_v3_small": (lambda: _vision("mobilenet_v3_small"), (2, 3, 32, 32), [0]),
    "lstm": (lambda: torch.nn.LSTM(5, 6, 2, bidirectional=True), (7, 2, 5), [0, 1]),
    "gru": (lambda: torch.nn.GRU(5, 6, batch_first=True, bidirectional=True), (2, 7, 5), [0]),
    "rnn": (lambda: torch.nn.RNN(5, 6), (7, 2, 5), [1]),
    "decoder": (Decoder, (2, 8), [0, 1]),
}
NAMES = [
    pytest.param(name, marks=pytest.mark.slow if name in ("resnet18", "mobilenet_v3_small", "vit") else ())
    for name in CASES
]


def _made(name: str):
    torch.manual_seed(0)
    model = CASES[name][0]().eval()
    for param in model.parameters():
        if param.abs().max() == 0:
            torch.nn.init.normal_(param)
    return model


def _drawn(name: str, shape):
    generator = torch.Generator().manual_seed(1)
    if name == "decoder":
        return torch.randint(0, 32, shape, generator=generator)
    return torch.randn(*shape, generator=generator)


def _compared(name: str, model, raw: bytes, more: int) -> ggml.nn.Module:
    loaded = ggml.onnx.load(raw)
    _, shape, axes = CASES[name]
    other = tuple(extent + (more if at in axes else 0) for at, extent in enumerate(shape))
    for size in {shape, other}:
        x = _drawn(name, size)
        with torch.no_grad():
            wanted = flat(_as_arrays(model(x)))
        need_close(flat(loaded(ggml.from_dlpack(x))), wanted)
        need_close(flat(ggml.compile(loaded)(ggml.from_dlpack(x))), wanted)
    return loaded


def _as_arrays(result):
    if isinstance(result, torch.Tensor):
        return ggml.from_numpy(result.numpy().copy())
    return [_as_arrays(one) for one in result]


@pytest.mark.parametrize("name", NAMES)
def test_files_of_the_tracing_exporter(name: str) -> None:
    model, file = _made(name), io.BytesIO()
    _, shape, axes = CASES[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it announces its end, and what tracing takes for constant
        torch.onnx.export(
            model, (_drawn(name, shape),), file, dynamo=False, input_names=["x"], dynamic_axes={"x": axes}
        )
    _compared(name, model, file.getvalue(), 3)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mlp", "conv", "vit", "lstm", "decoder"])
def test_files_of_the_newer_exporter(name: str) -> None:
    pytest.importorskip("onnxscript", reason="onnxscript is not installed: pip install 'ggml-cluster[test]'")
    model = _made(name)
    _, shape, axes = CASES[name]
    dims = {at: f"n{at}" for at in axes if name != "lstm" or at == 1}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        written = torch.onnx.export(model, (_drawn(name, shape),), dynamo=True, verbose=False, dynamic_shapes=(dims,))
    _compared(name, model, written.model_proto.SerializeToString(), 3 if len(dims) == len(axes) else 0)


def test_weights_are_parameters_that_train() -> None:
    model, file = _made("mlp"), io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(model, (torch.zeros(2, 4),), file, dynamo=False, input_names=["x"])
    loaded = ggml.onnx.load(file.getvalue())
    assert list(loaded.state_dict()) == list(model.state_dict())
    x = _drawn("mlp", (2, 4))
    (model(x) ** 2).sum().backward()
    (loaded(x=ggml.from_dlpack(x)) ** 2).sum().backward()
    for (name, param), other in zip(loaded.named_parameters(), model.parameters(), strict=True):
        np.testing.assert_allclose(param.grad.numpy(), other.grad.numpy(), rtol=1e-4, atol=1e-6, err_msg=name)
