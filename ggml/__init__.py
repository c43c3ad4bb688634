"""A PyTorch-shaped API over the ggml that the stages use. Reserved: nothing to call yet.

The distribution is called ggml-cluster, because other distributions already install a module named ``ggml``.
The guard below makes such a clash loud instead of strange.
"""

from __future__ import annotations

from ggml._import_guard import refuse_foreign_ggml

refuse_foreign_ggml()

__all__: list[str] = []
