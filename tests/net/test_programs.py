"""A program that is on one host only is served by stages on several: each gets the tensors of its own units."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.native.programs.models import WIDTH, layers, saved
from tests.net.conftest import made_hosts
from tests.net.together import Together

ASK = """
import numpy as np
(rows,) = arguments
answer = client.run(x=np.array(rows, np.float32))["output"].tolist()
"""


@pytest.mark.slow
def test_units_on_other_hosts(has_rights: None, tmp_path: Path) -> None:
    x = np.random.default_rng(0).standard_normal((3, WIDTH), np.float32)
    program = layers(6)
    expected = program(x).numpy().tolist()
    path = saved(program, tmp_path / "layers.ggp")
    with made_hosts(tmp_path, 2) as hosts:
        shutil.copy(path, hosts[1].disk)
        together = Together.start(hosts, "/tmp/layers.ggp", "--layers", "0-2,3-5", "-t", "1", num_nodes=2)
        assert together.ask("answer = [stage.node for stage in client.status().stages]") == ["one", "two"]
        assert together.ask(ASK, x.tolist()) == expected
        together.down()
