"""Short-time Fourier transforms: the spectra of overlapping frames of a signal, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ggml.core import dtypes, tracing
from ggml.core.errors import ArgumentError, ShapeMismatchError, UnsupportedOpError
from ggml.ops.shape.concatenation import cat
from ggml.ops.shape.cutting import narrow
from ggml.ops.signal.transforms import PAIRS, along, as_pairs, inverse_real_along, real_dft
from ggml.ops.spatial.fold import fold, windows
from ggml.registry.arguments import convert, integer, strictly_floating
from ggml.registry.table import op
from ggml.tensors.pairs import marked
from ggml.tensors.tensor import Tensor, filled, wrap
from ggml.tensors.transfer import upload

_MODES = ("reflect", "constant", "replicate", "circular")

# Below this a window leaves nothing of a sample to divide by.
_LEAST_ENVELOPE = 1e-11


def _frame(name: str, n_fft: Any, hop_length: Any, win_length: Any) -> tuple[int, int, int]:
    """Length of the transform, step and length of the window."""
    size = integer(name, n_fft, "n_fft")
    if size < 1:
        raise ArgumentError(name, "n_fft", f"must be positive: {size}")
    hop = size // 4 if hop_length is None else integer(name, hop_length, "hop_length")
    width = size if win_length is None else integer(name, win_length, "win_length")
    if hop < 1:
        raise ArgumentError(name, "hop_length", f"must be positive: {hop}")
    if not 1 <= width <= size:
        raise ArgumentError(name, "win_length", f"must lie in [1, {size}]: {width}")
    return size, hop, width


def _window(name: str, window: Any, width: int, size: int, like: Tensor) -> Tensor | None:
    """The window in the middle of ``size`` elements; None where it is 1 everywhere."""
    if window is None:
        if width == size:
            return None
        weights = filled((width,), 1, dtypes.float32, like.device)
    else:
        weights = convert(strictly_floating(name, window, "window"), dtypes.float32)
    if tuple(weights.shape) != (width,):
        raise ShapeMismatchError(name, f"a window ({width},)", tuple(weights.shape))
    left = (size - width) // 2
    sides = [filled((extent,), 0, dtypes.float32, like.device) for extent in (left, size - width - left)]
    return cat([sides[0], weights, sides[1]], 0) if width < size else weights


def _padded_places(length: int, pad: int, mode: str) -> NDArray[np.int64]:
    """For each element of the padded signal its place in the signal."""
    places = np.arange(-pad, length + pad, dtype=np.int64)
    if mode == "reflect":
        places = np.abs(places)
        return np.where(places >= length, 2 * (length - 1) - places, places)
    return np.clip(places, 0, length - 1) if mode == "replicate" else places % length


def _padded(x: Tensor, pad: int, mode: str) -> Tensor:
    """The signals [B, L] with ``pad`` more elements at both ends."""
    if mode not in _MODES:
        raise ArgumentError("stft", "pad_mode", f"must be one of {', '.join(_MODES)}, not {mode!r}")
    length = x.shape[1]
    limit = {"reflect": length - 1, "circular": length, "replicate": pad if length else -1}.get(mode, pad)
    if pad > limit:
        raise ShapeMismatchError("stft", f"signals of more than {pad} samples for pad_mode {mode!r}", tuple(x.shape))
    if not pad:
        return x
    if mode == "constant":
        zeros = filled((x.shape[0], pad), 0, dtypes.float32, x.device)
        return cat([zeros, x, zeros], 1)
    return x.index_select(1, wrap(upload(_padded_places(length, pad, mode), dtypes.int64, x.device)))


@op(
    runs="composed",
    sample="stft",
    dtypes=(dtypes.float32,),
    differs="``return_complex=True`` gives a complex tensor, marked pairs [..., 2]; without it the pairs are plain. "
    "A complex signal is refused.",
)
def stft(
    input: Tensor,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Tensor | None = None,
    center: bool = True,
    pad_mode: str = "reflect",
    normalized: bool = False,
    onesided: bool | None = None,
    return_complex: bool | None = None,
    align_to_window: bool | None = None,
) -> Tensor:
    """The spectra of frames of ``n_fft`` samples, ``hop_length`` apart: [B, L] (or [L]) to [B, N, T, 2].

    N is ``n_fft // 2 + 1``, or ``n_fft`` if not ``onesided``. ``center`` puts frame t around sample t * hop_length.
    """
    size, hop, width = _frame("stft", n_fft, hop_length, win_length)
    if align_to_window is not None and (center or align_to_window):
        raise ArgumentError("stft", "align_to_window", "is not available")
    x = convert(strictly_floating("stft", input), dtypes.float32)
    if x.ndim not in (1, 2):
        raise ShapeMismatchError("stft", "signals [B, L] or [L]", tuple(x.shape))
    signals = x if x.ndim == 2 else x.unsqueeze(0)
    signals = _padded(signals, size // 2, pad_mode) if center else signals
    length = signals.shape[1]
    if not size <= length:
        raise ShapeMismatchError("stft", f"at least {size} samples", tuple(x.shape))
    frames = (
        windows(signals, (size,), (hop,), (1,))
        if signals.numel()
        else signals.reshape(0, 1 + (length - size) // hop, size)
    )
    weights = _window("stft", window, width, size, x)
    frames = frames if weights is None else frames * weights
    if onesided is None or onesided:
        scale = size**-0.5 if normalized else 1.0
        result = real_dft(frames, scale, 1)
    else:
        pairs = cat([frames.unsqueeze(-1), (frames * 0).unsqueeze(-1)], -1)
        result = along("stft", pairs, None, -1, "ortho" if normalized else None, True).transpose(1, 2)
    pairs = result if x.ndim == 2 else result.squeeze(0)
    return marked(pairs) if return_complex else pairs


def _overlapped(frames: Tensor, hop: int) -> Tensor:
    """The sums [B, (T - 1) * hop + n] of frames [B, T, n] that begin ``hop`` apart."""
    batch, count, size = frames.shape
    length = (count - 1) * hop + size
    return fold(frames.transpose(1, 2), (1, length), (1, size), stride=(1, hop)).reshape(batch, length)


def _spectra(x: Tensor, size: int, onesided: bool) -> Tensor:
    if x.ndim not in (3, 4):
        raise ShapeMismatchError("istft", "spectra [B, N, T, 2] or [N, T, 2]", tuple(x.shape))
    spectra = x if x.ndim == 4 else x.unsqueeze(0)
    expected = size // 2 + 1 if onesided else size
    if spectra.shape[1] != expected or 0 in spectra.shape:
        raise ShapeMismatchError("istft", f"{expected} frequencies in axis -3, and no empty axis", tuple(x.shape))
    return spectra.transpose(1, 2)


@op(runs="composed", sample="istft", dtypes=(dtypes.float32,), differs=PAIRS
    + " In a compiled function a window that leaves samples out is not noticed.")  # fmt: skip
def istft(
    input: Tensor,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Tensor | None = None,
    center: bool = True,
    normalized: bool = False,
    onesided: bool | None = None,
    length: int | None = None,
    return_complex: bool = False,
) -> Tensor:
    """The signals [B, L] of spectra [B, N, T, 2]: the frames added up, over the sum of the squared windows."""
    size, hop, width = _frame("istft", n_fft, hop_length, win_length)
    if return_complex:
        raise UnsupportedOpError("istft", "ggml", "signals are real; leave return_complex out")
    if hop > width:
        raise ArgumentError("istft", "hop_length", f"must not be above win_length: {hop} > {width}")
    x, is_half = as_pairs("istft", input), onesided is None or bool(onesided)
    spectra = _spectra(x, size, is_half)
    norm = "ortho" if normalized else None
    # A real signal has its whole spectrum in the first half; PyTorch reads no more of a two-sided one.
    half = spectra if is_half else narrow(spectra, 2, 0, size // 2 + 1)
    frames = inverse_real_along("istft", half, size, -1, norm, False)
    weights = _window("istft", window, width, size, x)
    ones = filled((size,), 1, dtypes.float32, x.device)
    shares = (ones if weights is None else weights.square()).expand((1, frames.shape[1], size))
    signals = _overlapped(frames if weights is None else frames * weights, hop)
    begin = size // 2 if center else 0
    end = signals.shape[1] - (size // 2 if center else 0)
    if length is not None:
        wanted = integer("istft", length, "length")
        end = min(begin + wanted, signals.shape[1])
    if end <= begin:
        raise ArgumentError("istft", "length", "leaves no samples")
    envelope = narrow(_overlapped(shares, hop), 1, begin, end - begin)
    if not tracing.is_active() and float(envelope.abs().amin().item()) < _LEAST_ENVELOPE:
        raise ArgumentError("istft", "window", "leaves out samples: its squares add up to 0 somewhere")
    result = narrow(signals, 1, begin, end - begin) / envelope
    if length is not None and begin + integer("istft", length, "length") > end:
        missing = begin + integer("istft", length, "length") - end
        result = cat([result, filled((result.shape[0], missing), 0, dtypes.float32, x.device)], 1)
    return result if x.ndim == 4 else result.squeeze(0)
