"""The kit's commands: see the package."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from tests.gpu.kit.runner import PARTS, Run
from tests.gpu.kit.settings import Settings

BUDGET_S = 460.0


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
    return parser


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
