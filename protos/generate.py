"""Writes the stubs from the .proto files: ``python -m protos.generate`` (needs grpcio-tools)."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NAMES = ("arrays", "inference", "journal", "membership", "program", "ring", "sampling", "stage", "weights")
SERVICES = ("inference", "membership", "ring", "stage", "weights")
OUTPUTS = (
    *(f"{name}_pb2.{kind}" for name in NAMES for kind in ("py", "pyi")),
    *(f"{name}_pb2_grpc.py" for name in SERVICES),
)


def generate(out_dir: Path) -> None:
    """Writes ``out_dir/protos/*_pb2*``. The imports between them are ``from protos import ...``."""
    from grpc_tools import protoc

    for name in NAMES:
        args = ["protoc", f"-I{ROOT}", f"--python_out={out_dir}", f"--pyi_out={out_dir}"]
        if name in SERVICES:
            args.append(f"--grpc_python_out={out_dir}")
        if protoc.main([*args, f"protos/{name}.proto"]) != 0:
            sys.exit(f"protos/{name}.proto: protoc failed; see its message above")


if __name__ == "__main__":
    generate(ROOT)
