"""The kit's commands: see the package."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from tests.gpu.kit.pack import NEEDED, pack
from tests.gpu.kit.runner import PARTS, Run
from tests.gpu.kit.settings import Settings

BUDGET_S = 400.0
# Where 64 MiB can be carried at a time, a checkout of this repository among them.
PART_MIB = 52


def main() -> int:
    arguments = _parser().parse_args()
    return int(arguments.act(arguments))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.gpu.kit", description=__doc__)
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    run = verbs.add_parser("run", help="try everything on a device of this machine")
    run.add_argument("--device", default="CUDA0", help="ggml's name of the device (default: CUDA0)")
    run.add_argument("--size", choices=("tiny", "full"), default="full", help="tiny shows only that the kit works")
    run.add_argument("--out", type=Path, required=True, help="folder for results.json, results.md and log.txt")
    run.add_argument("--parts", type=_parts, default=PARTS, help=f"some of {','.join(PARTS)}")
    run.add_argument("--budget", type=float, default=BUDGET_S, help=f"seconds in all (default: {BUDGET_S:.0f})")
    run.add_argument("--scratch", type=Path, help="folder for models and slices (default: where there is most room)")
    run.set_defaults(act=_run)
    packs = verbs.add_parser("pack", help="write the archive that travels")
    packs.add_argument("--wheel", type=Path, required=True, help="llama-cpp-python's, built for the device")
    packs.add_argument("--out", type=Path, required=True, help="folder for the archive and run.sh")
    packs.add_argument("--python", default="3.12", help="version of Python there (default: 3.12)")
    packs.add_argument("--wheels", type=Path, help=f"folder with the wheels of {', '.join(NEEDED)} (default: download)")
    packs.add_argument("--part-mib", type=float, default=PART_MIB, help=f"largest part (default: {PART_MIB})")
    packs.set_defaults(act=_pack)
    return parser


def _pack(arguments: argparse.Namespace) -> int:
    part_bytes = int(arguments.part_mib * 2**20)
    pack(arguments.wheel, arguments.out, arguments.python, arguments.wheels, part_bytes, print)
    return 0


def _parts(text: str) -> tuple[str, ...]:
    chosen = tuple(text.split(","))
    if unknown := set(chosen) - set(PARTS):
        raise argparse.ArgumentTypeError(f"no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    return chosen


def _run(arguments: argparse.Namespace) -> int:
    """0 if nothing failed, else 1."""
    scratch = Path(tempfile.mkdtemp(prefix="kit-", dir=arguments.scratch or _roomiest()))
    try:
        settings = Settings(arguments.device, arguments.size, str(scratch), str(arguments.out.absolute()))
        reports = Run(settings, arguments.parts, arguments.budget, lambda text: print(text, flush=True)).all()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return int(any(finding.verdict == "fail" for report in reports for finding in report.findings))


def _roomiest() -> str:
    """Memory, where there is more room than on the disk for temporary files: models of many gigabytes are written."""
    folders = [folder for folder in ("/dev/shm", tempfile.gettempdir()) if Path(folder).is_dir()]
    return max(folders, key=lambda folder: shutil.disk_usage(folder).free)


if __name__ == "__main__":
    sys.exit(main())
