"""What a process knew does not end in a core dump, unless somebody asks for it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from cluster.node.core_dumps import VARIABLE

SHOW = """
import resource
from cluster.node.core_dumps import forbid_core_dumps
resource.setrlimit(resource.RLIMIT_CORE, (4096, 4096))
forbid_core_dumps()
print(resource.getrlimit(resource.RLIMIT_CORE)[0])
"""


@pytest.mark.parametrize(("given", "left"), [({}, "0"), ({VARIABLE: "0"}, "0"), ({VARIABLE: "1"}, "4096")])
def test_the_limit(given: dict[str, str], left: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    done = subprocess.run([sys.executable, "-c", SHOW], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout.strip() == left
