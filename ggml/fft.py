"""As ``torch.fft``. Complex tensors are real ones with a last axis of 2, as ``torch.view_as_real`` gives.

    spectrum = ggml.fft.rfft(ggml.randn(4, 1000))     # [4, 501, 2]
    signal = ggml.fft.irfft(spectrum, n=1000)          # [4, 1000]

Any length works: small factors are passes over the rows, large primes are convolutions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ggml.ops.namespace import fourier

if TYPE_CHECKING:
    from ggml._fft import *  # noqa: F403

globals().update(fourier())

__all__ = sorted(fourier())
