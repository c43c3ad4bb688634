"""Refuses to run when another distribution has put its files into our ``ggml`` package."""

from __future__ import annotations

from importlib import metadata

OURS = "ggml-cluster"


def refuse_foreign_ggml() -> None:
    """Raise ImportError, naming the intruder, if a distribution other than ours provides ``ggml``.

    Both would write ``ggml/__init__.py`` into the same folder, and which one wins depends on the order of
    installation: calls would then fail in ways that name neither.
    """
    foreign = sorted(set(metadata.packages_distributions().get("ggml", ())) - {OURS})
    if foreign:
        names = ", ".join(foreign)
        raise ImportError(
            f"ggml: also installed by {names}, whose files mix with those of {OURS}; "
            f"run: pip uninstall {' '.join(foreign)} && pip install --force-reinstall --no-deps {OURS}"
        )
