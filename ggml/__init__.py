"""A PyTorch-shaped API over the ggml that the stages use: tensors with torch's names, computed by ggml.

    import ggml
    x = ggml.randn(4, 64)
    y = (x @ ggml.randn(64, 8)).softmax(dim=-1)   # recorded
    print(y)                                       # computed

The distribution is called ggml-cluster, because other distributions already install a module named ``ggml``.
The guard below makes such a clash loud instead of strange.

Importing the package alone loads neither numpy nor the native extension, so that who only reads files (``ggml.gguf``)
starts fast. The first name that is used loads all of them; from then on each is a plain variable of this module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ggml._import_guard import refuse_foreign_ggml

refuse_foreign_ggml()

if TYPE_CHECKING:
    from ggml._dtype_names import *  # noqa: F403
    from ggml._functions import *  # noqa: F403
    from ggml._public import *  # noqa: F403
    from ggml._public import __all__ as __all__

    __version__: str
else:  # a checker would take every name for one of ours
    from typing import Any

    def __getattr__(name: str) -> Any:
        """A public name, at its first use. A dtype of PyTorch's that is not here says what takes its place."""
        if name == "__version__":
            from importlib.metadata import version

            return version("ggml-cluster")
        _load_names(name)
        if name in globals():
            return globals()[name]
        raise _unknown(name)

    def __dir__() -> list[str]:
        _load_names("__all__")
        return sorted(globals())

    def _load_names(name: str) -> None:
        """Load everything, unless the name is one that only Python asks for.

        Threads that come here together wait for each other in the import; a module that is imported meanwhile and
        asks for a name finds none yet, as it would while this module itself were imported.
        """
        if "__all__" in globals() or (name.startswith("__") and name != "__all__"):
            return
        from importlib import import_module

        globals().update(getattr(import_module("ggml._public"), "NAMES", {}))

    def _unknown(name: str) -> AttributeError:
        from ggml.core.errors import ModuleError

        if name.startswith("__"):
            return ModuleError(f"module 'ggml' has no attribute {name!r}", name)
        from ggml.core.dtypes import instead_of

        hint = instead_of(name)
        return ModuleError(f"module 'ggml' has no attribute {name!r}" + (f"; {hint}" if hint else ""), name)
