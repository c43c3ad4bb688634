"""The commands of ``python -m ggml``: each module has NAME, HELP, ``add_arguments`` and ``run``."""
