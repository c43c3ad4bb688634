"""Modes, leaves, hooks, accumulation and errors of the tape: the same text in PyTorch and in ggml."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest

import ggml
from tests.ggml.both import names_of, torch

X = np.array([[0.5, -1.0, 2.0], [3.0, 0.25, -0.5]], np.float32)

#: Each sets ``r``: numbers, bools, tensors, or a list of them.
TEXTS = [
    "y = (x * x).sum(); y.backward(); r = [x.grad, y.requires_grad, y.is_leaf, x.is_leaf, x.grad_fn is None]",
    "(x * 2).sum().backward(); (x * 3).sum().backward(); r = x.grad",
    "x.grad = torch.ones(2, 3); (x * 2).sum().backward(); r = x.grad",
    "y = x * 2; y.retain_grad(); (y * y).sum().backward(); r = [y.grad, x.grad, y.retains_grad]",
    "y = x.detach() * 2; r = [y.requires_grad, x.detach().requires_grad, x.detach().is_leaf]",
    "with torch.no_grad():\n  y = x * 2\n  with torch.enable_grad(): z = x * 3\nr = [y.requires_grad, z.requires_grad]",
    "with torch.set_grad_enabled(False): y = x * 2\nr = [y.requires_grad, torch.is_grad_enabled()]",
    "torch.set_grad_enabled(False); y = x * 2; torch.set_grad_enabled(True); z = x * 2; r = y.requires_grad",
    "with torch.inference_mode():\n  y = x * 2\n  r = [y.requires_grad, torch.is_inference_mode_enabled()]",
    "@torch.no_grad()\ndef f(): return x * 2\n\nr = [f().requires_grad, (x * 2).requires_grad]",
    "@torch.no_grad()\ndef f():\n  yield x * 2\n\nr = [f().__next__().requires_grad, (x * 2).requires_grad]",
    "seen = []; h = x.register_hook(lambda g: seen.append(g.sum().item())); (x * 2).sum().backward(); h.remove(); "
    "(x * 2).sum().backward(); r = [seen, x.grad]",
    "x.register_hook(lambda g: g * 10); (x * 2).sum().backward(); r = x.grad",
    "y = x * 2; y.register_hook(lambda g: g + 1); y.sum().backward(); r = x.grad",
    "s = []; x.register_post_accumulate_grad_hook(lambda p: s.append(p.grad.sum().item())); x.sum().backward(); r = s",
    "r = torch.autograd.grad((x ** 3).sum(), x)[0]",
    "g, = torch.autograd.grad((x ** 3).sum(), x, create_graph=True); r = torch.autograd.grad(g.sum(), x)[0]",
    "(x ** 3).sum().backward(create_graph=True); r = [x.grad.requires_grad, x.grad]",
    "y = (x * x).sum(); y.backward(retain_graph=True); y.backward(); r = x.grad",
    "y = (x + 1).sum(); y.backward(); y.backward(); r = x.grad",
    "z = torch.zeros(2, requires_grad=True); r = torch.autograd.grad(x.sum(), [x, z], allow_unused=True)[1] is None",
    "z = torch.zeros(2, requires_grad=True); r = torch.autograd.grad(x.sum(), [x, z], materialize_grads=True)[1]",
    "y = x * 1; y[0] = 5.0; y.sum().backward(); r = x.grad",
    "y = x * 1; y += 1; (y * y).sum().backward(); r = x.grad",
    "y = x.clone(); y.mul_(torch.full((2, 3), 3.0)); y.sum().backward(); r = x.grad",
    "with torch.no_grad(): x.mul_(2)\n(x * x).sum().backward(); r = [x.grad, x.requires_grad, x.is_leaf]",
    "y = x * 2; z = x * 3; (y + z).backward(torch.ones(2, 3)); r = x.grad",
    "torch.autograd.backward([x.sum(), (x * 2).sum()]); r = x.grad",
    "z = torch.ones(2, 3, requires_grad=True); (x * z).sum().backward(inputs=[z]); r = [x.grad is None, z.grad]",
    "y = x.sum(1); r = [y.argmax().requires_grad, (y > 0).requires_grad, y.long().requires_grad]",
    "m = nn.Linear(3, 2); m(x).sum().backward(); m.zero_grad(); r = [m.weight.grad is None, m.weight.requires_grad]",
    "m = nn.Linear(3, 2).requires_grad_(False); r = m(x.detach()).requires_grad",
    "p = nn.Parameter(torch.ones(2, 3)); (p * x).sum().backward(); r = [p.grad, p.data.requires_grad]",
    "b = nn.BatchNorm1d(3); b(x).pow(2).sum().backward(); r = [x.grad, b.running_mean, b.running_mean.requires_grad]",
    "x = x.half().float(); x.retain_grad(); (x * x).sum().backward(); r = x.grad",
    "y = x.reshape(3, 2).t().flip(0)[:, ::2]; (y * y).sum().backward(); r = x.grad",
    "class F2(torch.autograd.Function):\n"
    "  @staticmethod\n  def forward(ctx, a, k):\n    ctx.save_for_backward(a); ctx.k = k; return a * k\n"
    "  @staticmethod\n  def backward(ctx, g):\n    a, = ctx.saved_tensors; return g * ctx.k + a * 0 + 1, None\n"
    "y = F2.apply(x, 3.0); y.sum().backward(); r = [y, x.grad]",
    "class F3(torch.autograd.Function):\n"
    "  @staticmethod\n  def forward(ctx, a, b):\n    ctx.save_for_backward(a, b); return a * b, a + b\n"
    "  @staticmethod\n  def backward(ctx, g, h):\n    a, b = ctx.saved_tensors\n"
    "    return g * b + h, (g * a + h) if ctx.needs_input_grad[1] else None\n"
    "y, z = F3.apply(x, torch.ones(2, 3)); (y.sum() + z.sum() * 2).backward(); r = x.grad",
]

#: Each raises RuntimeError in PyTorch; ours says this.
REFUSED = {
    "torch.ones(2).sum().backward()": "does not require a gradient",
    "(x * 2).backward()": "needs a gradient to begin with",
    "y = (x * x).sum(); y.backward(); y.backward()": "retain_graph=True",
    "x.add_(1)": "no_grad",
    "y = x * 1; z = y * y; y.add_(1); z.sum().backward()": r"(?s)backward of mul.*add_ at .*changed it in place",
    "y = x.exp(); y.mul_(2); y.sum().backward()": r"backward of exp.*its result.*mul_",
    "w = torch.ones(2, 3); y = x * w; w.add_(1); y.sum().backward()": r"backward of mul.*add_",
    "y = (x * x).sum(); torch.no_grad().__enter__(); x.add_(1); y.backward()": r"backward of mul.*add_",
    "torch.ones(2, dtype=torch.int64).requires_grad_()": "floats",
    "(x * 2).requires_grad_(False)": "detach",
    "z = torch.zeros(2, requires_grad=True); torch.autograd.grad(x.sum(), z)": "allow_unused",
    "torch.autograd.grad(x.sum(), torch.zeros(2))": "does not require",
    "(x * 2).detach().retain_grad()": "does not require",
    "(x * 2).register_post_accumulate_grad_hook(print)": "leaves",
    "x.sum().backward(torch.ones(3))": "gradient of shape",
}


def _run(library: Any, text: str) -> Any:
    names = {**names_of(library), "x": library.tensor(X.tolist(), requires_grad=True)}
    exec(text, names)
    return names.get("r")


def _plain(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return value.detach().numpy() if hasattr(value, "detach") else value


def _same(found: Any, wanted: Any) -> None:
    if isinstance(wanted, list):
        assert len(found) == len(wanted)
        for one, other in zip(found, wanted, strict=True):
            _same(one, other)
    elif isinstance(wanted, np.ndarray):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    else:
        assert found == pytest.approx(wanted)


@pytest.mark.filterwarnings("ignore:Using backward")
@pytest.mark.parametrize("text", TEXTS)
def test_same_as_torch(text: str) -> None:
    _same(_plain(_run(ggml, text)), _plain(_run(torch, text)))


@pytest.mark.parametrize("text", REFUSED)
def test_refused_as_in_torch(text: str) -> None:
    try:
        with pytest.raises(RuntimeError):
            _run(torch, text)
        torch.set_grad_enabled(True)
        with pytest.raises(ggml.GgmlError, match=REFUSED[text]):
            _run(ggml, text)
    finally:
        torch.set_grad_enabled(True)
        ggml.set_grad_enabled(True)


def test_an_error_names_the_line_that_changed_it() -> None:
    x = ggml.tensor(X, requires_grad=True)
    y = x * 1
    z = y * y
    y.add_(1)
    with pytest.raises(ggml.GradientError, match=r"test_tape\.py:\d+"):
        z.sum().backward()


def test_anomaly_mode_names_the_operation_and_its_line() -> None:
    x = ggml.tensor([0.0, 1.0], requires_grad=True)
    with ggml.autograd.detect_anomaly(), pytest.raises(ggml.GradientError, match=r"(?s)mul.*NaN.*test_tape\.py:\d+"):
        (x.sqrt() * ggml.tensor([0.0, 1.0])).sqrt().sum().backward()


def test_a_row_without_derivative_says_what_to_do() -> None:
    x = ggml.tensor([[2.0, 0.0], [0.0, 3.0]], requires_grad=True)
    values = ggml.linalg.eigvalsh(x)
    assert values.requires_grad
    with pytest.raises(ggml.GradientError, match=r"eigvalsh: has no derivative.*x\.detach\(\)"):
        values.sum().backward()


def test_the_tape_is_let_go_of() -> None:
    x = ggml.tensor(X, requires_grad=True)
    y = (x * x).exp().sum()
    made_by = y.grad_fn
    y.backward()
    assert made_by is not None and made_by.is_freed and not made_by.outputs
    gc.collect()


def test_memory_stays_flat_over_steps() -> None:
    import resource

    x = ggml.tensor(np.ones((128, 128), np.float32), requires_grad=True)

    def step() -> None:
        x.grad = None
        (x @ x).tanh().sum().backward()

    for _ in range(20):
        step()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(100):
        step()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 4 << 10  # KiB: 64 gradients


def test_threads_have_their_own_switch() -> None:
    import threading

    seen: list[bool] = []
    with ggml.no_grad():
        thread = threading.Thread(target=lambda: seen.append(ggml.is_grad_enabled()))
        thread.start()
        thread.join()
        assert not ggml.is_grad_enabled()
    assert seen == [True]


def test_callbacks_run_when_the_backward_is_done() -> None:
    """They see all gradients, those that are made after the hook that asked for the call, too."""
    first, second = (ggml.tensor([1.0, 2.0], requires_grad=True) for _ in range(2))
    seen: list[bool] = []

    def look() -> None:
        seen.append(first.grad is not None and second.grad is not None)

    for leaf in (first, second):
        leaf.register_post_accumulate_grad_hook(lambda _: ggml.autograd.queue_callback(look))
    (first * second).sum().backward()
    assert seen == [True, True]
    (first * second).sum().backward()
    assert len(seen) == 4, "those of one backward are called once"
    with pytest.raises(ggml.GradientError, match="no backward is under way"):
        ggml.autograd.queue_callback(look)
