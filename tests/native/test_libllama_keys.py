"""Every key that the installed libllama looks up was read and classified: is it an array, has it a value per layer?"""

from __future__ import annotations

import re
from pathlib import Path

from cluster.cutting.key_ranges import RANGES
from cluster.cutting.per_layer import PER_LAYER_KEYS
from cluster.doctor.versions import installed_library

KEYS = Path(__file__).parents[1] / "archs" / "keys.txt"
# A name as it stands in the library: "%s.attention.head_count", with a NUL at both ends.
NAME = re.compile(rb"\0%s\.([a-z][a-z0-9_]*(?:\.[a-z0-9_]+)*)(?=\0)")


def test_every_key_of_the_library_is_classified() -> None:
    """A new one: read its loader, and add it to per_layer.py (an array with a value per layer) or to keys.txt."""
    in_library = {match[1].decode() for match in NAME.finditer(installed_library().read_bytes())}
    lines = [line.split() for line in KEYS.read_text().splitlines() if not line.startswith("#")]
    assert {kind for kind, _ in lines} == {"array", "number"}
    listed = {name for _, name in lines}
    assert not listed & set(PER_LAYER_KEYS)
    assert in_library == listed | set(PER_LAYER_KEYS)
    assert set(RANGES) <= {name for kind, name in lines if kind == "number"}
