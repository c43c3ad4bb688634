"""One thing to try, in a process of its own: libllama, ggml and a driver may end it.

python -m tests.gpu.kit.case PART CASE SETTINGS FINDINGS     # SETTINGS is JSON; lines of JSON are added to FINDINGS
"""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.gpu.kit.finding import Finding, Tell, append_finding
from tests.gpu.kit.settings import Settings


@dataclass(frozen=True, slots=True)
class Case:
    """`run` tells what it finds as it goes; after `limit_s` its process is ended."""

    name: str
    run: Callable[[Settings, Tell], None]
    limit_s: float


def cases_of(part: str, settings: Settings) -> list[Case]:
    """Those of one part, in order; `part` is a file in parts/, or a module's whole name. Opens no device."""
    module = importlib.import_module(part if "." in part else f"tests.gpu.kit.parts.{part}")
    cases: list[Case] = module.cases(settings)
    return cases


def main() -> int:
    from cluster.node.child import die_with_parent

    die_with_parent()
    part, name, settings = sys.argv[1], sys.argv[2], Settings.from_json(sys.argv[3])
    tell = partial(append_finding, Path(sys.argv[4]))
    case = next(case for case in cases_of(part, settings) if case.name == name)
    try:
        case.run(settings, tell)
    except Exception as error:
        traceback.print_exc()
        reason = " ".join(str(error).split())[:400]
        tell(Finding("to its end", "fail", {}, f"{type(error).__name__}: {reason}"))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
