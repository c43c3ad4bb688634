"""Products, attention, an MLP and a block as llama has it: right against float64, and how long beside PyTorch."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from tests.gpu.kit.case import Case
from tests.gpu.kit.finding import Tell, judged, not_run
from tests.gpu.kit.settings import Settings

NAMES = ("matmul", "attention", "mlp", "block")
# ||ours - exact|| / ||exact||: TF32 in products of 32 bits, halves in attention.
TOLERANCE = 5e-3
SECONDS, TINY_SECONDS = 0.5, 0.02  # of measuring, each


@dataclass(frozen=True, slots=True)
class Sizes:
    """T rows of width E in H heads, and an MLP of width F."""

    rows: int
    width: int
    heads: int
    hidden: int


TINY, FULL = Sizes(16, 64, 4, 128), Sizes(2048, 4096, 32, 14336)


def cases(settings: Settings) -> list[Case]:
    if settings.is_tiny:  # to load PyTorch takes longer than all of it
        return [Case("all", _compare_all, 40.0)]
    return [Case(name, partial(_compare, name), 40.0) for name in NAMES]


def _compare_all(settings: Settings, tell: Tell) -> None:
    for name in NAMES:
        _compare(name, settings, tell)


def _compare(name: str, settings: Settings, tell: Tell) -> None:
    try:
        import torch
    except ImportError as error:
        tell(not_run(name, str(error)))
        return
    import ggml

    sizes, seconds = (TINY, TINY_SECONDS) if settings.is_tiny else (FULL, SECONDS)
    place = str(ggml.device(settings.device))
    for kind in ("float32", "float16"):
        torch.manual_seed(5)
        exact = [
            torch.randn(*shape, dtype=torch.float64, device=place) * scale for shape, scale in _inputs(name, sizes)
        ]
        theirs = [one.to(getattr(torch, kind)) for one in exact]
        ours = [ggml.from_dlpack(one) for one in theirs]
        with torch.no_grad():
            expected = _body(name, torch, sizes)(*(one.double() for one in theirs))
            step = ggml.compile(partial(_run, _body(name, ggml, sizes)))
            found = torch.from_numpy(step(*ours).cpu().float().numpy()).double().to(place)
            other = _body(name, torch, sizes)(*theirs).double()
            error, torch_error = (float((one - expected).norm() / expected.norm()) for one in (found, other))
            our_ms = _best_ms(lambda step=step, ours=ours: step(*ours).buffer(), seconds)
            torch_ms = _best_ms(partial(_torch_step, torch, _body(name, torch, sizes), theirs, settings), seconds)
        values = {"error": error, "torch_error": torch_error, "ms": our_ms, "torch_ms": torch_ms}
        is_right = error <= TOLERANCE  # which not a number is not
        tell(
            judged(f"{name}, {kind}", is_right, f"an error over {TOLERANCE:g}", **values, times_torch=our_ms / torch_ms)
        )


def _run(body: Callable[..., Any], *inputs: Any) -> Any:
    return body(*inputs)


def _torch_step(torch: Any, body: Callable[..., Any], inputs: list[Any], settings: Settings) -> None:
    body(*inputs)
    if not settings.is_cpu:
        torch.cuda.synchronize()


def _best_ms(call: Callable[[], object], seconds: float) -> float:
    """The least of the calls that fit into `seconds`, after two to warm up; each waits for the device."""
    for _ in range(2):
        call()
    best, end_s = float("inf"), time.perf_counter() + seconds
    while True:
        start_s = time.perf_counter()
        call()
        now_s = time.perf_counter()
        best = min(best, now_s - start_s)
        if now_s > end_s:
            return 1e3 * best


def _inputs(name: str, sizes: Sizes) -> list[tuple[tuple[int, ...], float]]:
    """(shape, deviation) of each; weights [out, in], as nn.Linear has them."""
    rows, width, hidden = sizes.rows, sizes.width, sizes.hidden
    x = ((rows, width), 1.0)
    mlp = [((hidden, width), width**-0.5), ((hidden, width), width**-0.5), ((width, hidden), hidden**-0.5)]
    square = ((width, width), width**-0.5)
    heads = ((1, sizes.heads, rows, width // sizes.heads), 1.0)
    return {
        "matmul": [x, square],
        "attention": [heads] * 3,
        "mlp": [x, *mlp],
        "block": [x, *[square] * 4, *mlp],
    }[name]


def _body(name: str, library: Any, sizes: Sizes) -> Callable[..., Any]:
    """The function, in PyTorch's names, which are ggml's too."""
    functional = library.nn.functional

    def matmul(x: Any, w: Any) -> Any:
        return x @ w.T

    def attention(q: Any, k: Any, v: Any) -> Any:
        return functional.scaled_dot_product_attention(q, k, v, is_causal=True)

    def mlp(x: Any, gate: Any, up: Any, down: Any) -> Any:
        return (functional.silu(x @ gate.T) * (x @ up.T)) @ down.T

    def block(x: Any, wq: Any, wk: Any, wv: Any, wo: Any, *weights: Any) -> Any:
        normed = functional.rms_norm(x, (sizes.width,), eps=1e-5)
        parts = ((normed @ w.T).reshape(1, sizes.rows, sizes.heads, -1).transpose(1, 2) for w in (wq, wk, wv))
        mixed = attention(*parts).transpose(1, 2).reshape(sizes.rows, sizes.width)
        x = x + mixed @ wo.T
        return x + mlp(functional.rms_norm(x, (sizes.width,), eps=1e-5), *weights)

    return {"matmul": matmul, "attention": attention, "mlp": mlp, "block": block}[name]
