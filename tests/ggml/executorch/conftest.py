from __future__ import annotations

import warnings

import pytest


@pytest.fixture(scope="session")
def delegate() -> None:
    """The delegate, built for this machine and known to the runtime."""
    pytest.importorskip("torch", reason="torch is not installed: pip install 'ggml-cluster[torch]'")
    pytest.importorskip("executorch", reason="not installed: pip install 'ggml-cluster[executorch]'")
    from ggml.executorch import build, library

    build.main()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        library.register()
