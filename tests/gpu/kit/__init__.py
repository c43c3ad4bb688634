"""Proves and measures a device on a machine that is there for minutes only: packed here, run there, without Ray.

    python -m tests.gpu.kit pack --wheel WHEEL --out FILE     # here: sources and wheels in one archive
    bash run.sh                                               # there: install, compile, run (see run.sh)
    python -m tests.gpu.kit run --device CPU --size tiny --out FOLDER    # the same parts on any machine

settings, finding, case      what is asked for, what was found, one thing to try in a process of its own
runner, report               all parts in turn, each with its time; JSON and Markdown after each
process, launcher            objects in processes of their own; a cluster of those that Ray would start
models, chain                tiny and random models; slices in a row beside whole libllama
parts/                       what is tried, a file for each subject
pack, install                the archive, and what makes a Python environment of it
"""
