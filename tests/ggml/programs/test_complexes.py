"""Complex tensors between operations are pairs of floats in a program."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ggml-cluster[torch]'")

import ggml  # noqa: E402
from tests.ggml.programs.test_lower import BATCH, close, export  # noqa: E402


class Turned(torch.nn.Module):
    """Rotary places by complex numbers, which lie in a buffer."""

    def __init__(self) -> None:
        super().__init__()
        angles = torch.outer(torch.arange(6).float(), 10000 ** (-torch.arange(0, 8, 2) / 8))
        self.register_buffer("turns", torch.polar(torch.ones_like(angles), angles))

    def forward(self, x: Any) -> Any:
        pairs = torch.view_as_complex(x.float().reshape(*x.shape[:-1], -1, 2))
        return torch.view_as_real(pairs * self.turns[None, :, None, :]).flatten(3)


class Fourier(torch.nn.Module):
    """A spectral convolution: the low frequencies are mixed by complex weights."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.randn(3, 5, 4, dtype=torch.cfloat))

    def forward(self, x: Any) -> Any:
        spectrum = torch.fft.rfft(x)
        out = torch.zeros(x.shape[0], 5, x.shape[-1] // 2 + 1, dtype=torch.cfloat)
        out[:, :, :4] = torch.einsum("bix,iox->box", spectrum[:, :, :4], self.weight)
        return torch.fft.irfft(out, n=x.shape[-1])


class Mixing(torch.nn.Module):
    """A transform of both axes, of which the real part is kept, and one back with its lengths."""

    def forward(self, x: Any) -> Any:
        whole = torch.fft.fft(torch.fft.fft(x, dim=-1), dim=-2, norm="ortho")
        turned = torch.fft.ifft2(whole.conj() / (whole.abs() + 1))
        both = torch.cat([turned, torch.complex(x, x * 2)], -1).transpose(1, 2).unsqueeze(-1)
        return whole.real, both.abs().squeeze(-1), both.imag, (both - both * both).real


CASES: dict[str, tuple[Any, tuple[int, ...]]] = {
    "rotary": (Turned, (6, 2, 8)),
    "spectral convolution": (Fourier, (3, 12)),
    "transforms": (Mixing, (4, 6)),
}


@pytest.mark.parametrize("name", CASES)
def test_complex_inside_equals_pytorch(name: str, tmp_path: Path) -> None:
    make, shape = CASES[name]
    model = make()
    program = ggml.export.lower(export(model, torch.randn(2, *shape), shapes=({0: BATCH},)), require="ggml")
    program.save(tmp_path / "model.ggp")
    again = ggml.load_program(tmp_path / "model.ggp")
    for batch in (2, 3):
        x = torch.randn(batch, *shape)
        wanted = model(x)
        for one in (program, again):
            for ours, theirs in zip(*((r if isinstance(r, tuple) else (r,)) for r in (one(x), wanted)), strict=True):
                close(ours, theirs)


def test_complex_at_the_edges_is_refused() -> None:
    with pytest.raises(ggml.UnsupportedOpError, match=r"no dtype for torch\.complex64"):
        ggml.export.lower(export(torch.nn.Identity(), torch.ones(3, dtype=torch.complex64)), require="ggml")
