"""`import ggml` is cheap; the first name that is used brings in all of them, whichever way one comes to it."""

from __future__ import annotations

import ast
import pickle
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import ggml
from ggml import _public

HEAVY = "{'numpy', 'worker_native', 'ggml.core.dtypes', 'ggml.tensors', 'ggml.nn'}"


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "code",
    [
        "import ggml",
        "import ggml; ggml.__version__, ggml.__doc__, ggml.__path__, hasattr(ggml, '__wrapped__')",
        "import inspect, ggml; inspect.getmodule(ggml), inspect.getsource(ggml), hasattr(ggml, '__test__')",
    ],
)
def test_the_package_alone_is_light(code: str) -> None:
    run(f"{code}\nimport sys; found = {HEAVY} & set(sys.modules); assert not found, found")


@pytest.mark.parametrize(
    "code",
    [
        "import ggml; assert ggml.zeros(2).tolist() == [0, 0]",
        "from ggml import zeros, nn, float32, matmul; assert zeros(2, dtype=float32).tolist() == [0, 0]",
        "import ggml.nn; assert ggml.nn.Linear(2, 3)(ggml.zeros(2)).shape == (3,)",
        "import ggml.nn.functional as F, ggml; assert F.relu(ggml.tensor([-1.0])).tolist() == [0]",
        "import ggml.random; ggml.random.manual_seed(1); ggml.manual_seed(1); ggml.rand(2)",
        "import ggml.io.reading, ggml; assert callable(ggml.compile) and callable(ggml.tensor)",
        "import ggml; assert {'zeros', 'matmul', 'float32', 'nn', 'q4_k', '__doc__'} <= set(dir(ggml))",
        "from ggml import *; assert zeros(2).tolist() == [0, 0] and tensor and nn.Linear",
        "import ggml; assert 'zeros' in ggml.__all__ and all(hasattr(ggml, name) for name in ggml.__all__)",
        "import pydoc, ggml; text = pydoc.render_doc(ggml); assert 'zeros' in text and 'enable_grad' in text",
        "import pickle; assert pickle.loads(b'cggml\\nmatmul\\n.').__name__ == 'matmul'",
        "import ggml; ggml.zeros; names = vars(ggml); assert names['zeros'] is ggml.zeros and 'matmul' in names",
    ],
)
def test_every_way_to_a_name(code: str) -> None:
    run(code)


def test_threads_that_come_first_together() -> None:
    run("""
import sys, threading, ggml
sys.setswitchinterval(1e-5)
gate, failures = threading.Barrier(8), []
def use(code):
    gate.wait()
    try:
        exec(code, {"ggml": ggml})
    except BaseException as error:
        failures.append((code, repr(error)))
codes = ["ggml.zeros(2).tolist()", "import ggml.nn.functional as F; F.relu(ggml.zeros(1))", "ggml.nn.Linear(2, 3)",
         "from ggml import fft; fft.rfft(ggml.zeros(4))", "ggml.matmul", "import ggml.quantization; ggml.float32",
         "dir(ggml).index('matmul')", "ggml.linalg.inv"]
threads = [threading.Thread(target=use, args=(code,)) for code in codes]
[thread.start() for thread in threads]
[thread.join(60) for thread in threads]
assert not failures and not any(thread.is_alive() for thread in threads), failures
""")


def test_a_forked_process_may_be_the_first() -> None:
    run("""
import os, ggml
child = os.fork()
if not child:
    os._exit(0 if ggml.zeros(2).tolist() == [0, 0] else 1)
assert os.waitpid(child, 0)[1] == 0
assert ggml.ones(2).tolist() == [1, 1]
""")


def test_a_name_that_is_there_costs_no_call() -> None:
    assert _public.NAMES.items() <= vars(ggml).items()


def test_no_name_is_a_submodule_and_something_else() -> None:
    """The import of a submodule sets its name in the package, whatever was there."""
    submodules = {found.name for found in pkgutil.iter_modules(ggml.__path__)}
    both = submodules & set(_public.NAMES)
    assert all(_public.NAMES[name] is sys.modules[f"ggml.{name}"] for name in both)
    of_torch = {
        "amp",
        "autograd",
        "data",
        "fft",
        "func",
        "library",
        "linalg",
        "nn",
        "optim",
        "profiler",
        "random",
        "signal",
        "special",
        "utils",
        "vision",
    }
    assert both == of_torch | {"backend", "debug", "export", "metrics", "onnx", "quantization"}


def test_what_is_not_there() -> None:
    with pytest.raises(ggml.ModuleError, match=r"no attribute 'float64'; there is no float64: use ggml\.float32"):
        _ = ggml.float64  # type: ignore[attr-defined]
    with pytest.raises(ImportError, match="cannot import name 'nonsense' from 'ggml'"):
        exec("from ggml import nonsense")
    assert not hasattr(ggml, "nonsense") and not hasattr(ggml, "__nonsense__")


def test_functions_can_be_pickled() -> None:
    for name in ("matmul", "zeros", "relu_", "float32"):
        assert pickle.loads(pickle.dumps(getattr(ggml, name))) is getattr(ggml, name)


def test_ggml_itself_does_not_ask_the_package() -> None:
    """A module that did would load all names in the middle of its own import."""
    root = Path(ggml.__path__[0])
    for path in root.rglob("*.py"):
        if {"tools", "benchmark", "examples"} & {*path.relative_to(root).parts[:-1]}:  # programs
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            assert not (isinstance(node, ast.ImportFrom) and node.module == "ggml"), f"{path}:{node.lineno}"
            asks = isinstance(node, ast.Import) and any(part.name == "ggml" for part in node.names)
            assert not asks, f"{path}:{node.lineno}"
