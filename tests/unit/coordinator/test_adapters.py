"""Which scales a request has: its own, or those of the cluster as they are when it comes."""

from __future__ import annotations

import pytest

from cluster.api.errors import UsageError
from cluster.api.model import AdapterInfo
from cluster.coordinator.adapters import Adapters


def adapters(*scales: float) -> Adapters:
    return Adapters([AdapterInfo(f"{number}.gguf", scale) for number, scale in enumerate(scales)])


def test_a_request_has_its_own_scales_and_0_for_what_it_leaves_out() -> None:
    known = adapters(0.5, 1.0, 0.0)
    assert known.scales_of(((2, 1.5),)) == (0.0, 0.0, 1.5)
    assert known.scales_of(((1, -1.0), (0, 0.25))) == (0.25, -1.0, 0.0)


def test_scales_that_the_stages_have_anyhow_do_not_travel() -> None:
    known = adapters(0.5, 1.0)
    assert known.scales_of(()) == known.scales_of(((1, 1.0), (0, 0.5))) == ()
    known.rescale(((0, 2.0),))
    assert known.scales_of(()) == (2.0, 0.0)
    assert known.scales_of(((0, 0.5), (1, 1.0))) == ()
    assert [(one.name, one.scale) for one in known.all] == [("0.gguf", 2.0), ("1.gguf", 0.0)]
    known.rescale(())
    assert known.scales_of(()) == (0.0, 0.0)


def test_an_adapter_that_is_not_there_changes_nothing() -> None:
    known = adapters(0.5, 1.0)
    for ask in (known.scales_of, known.rescale):
        with pytest.raises(UsageError, match="lora: there is no adapter 2; give ids from 0 to 1"):
            ask(((0, 2.0), (2, 1.0)))
    assert known.scales_of(()) == ()
    with pytest.raises(UsageError, match="lora: the cluster has no adapters; leave it out, or start it with --lora"):
        adapters().scales_of(((0, 1.0),))
    adapters().rescale(())
    assert adapters().scales_of(()) == ()
