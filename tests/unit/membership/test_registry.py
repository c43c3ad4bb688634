"""What the head knows of nodes: a name is one node, and files are read back or named."""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.api.errors import CapacityError, ClusterError, UnauthenticatedError, UsageError
from cluster.membership import registry as registry_module
from cluster.membership.registry import Registry
from cluster.membership.registry_file import NODES, open_registry, read_registry
from cluster.membership.versions import MUST_AGREE, differences, this_version
from cluster.messages.membership import NodeState
from cluster.trust.authority import Authority
from cluster.trust.certificate import Certificate, read_certificate
from cluster.trust.node_key import new_key, signing_request

NOW_S = time.time()
AUTHORITY = Authority.new("abcdefgh23", NOW_S)


def certificate(name: str) -> Certificate:
    return read_certificate(AUTHORITY.sign(signing_request(new_key(), name), name, ["10.0.0.2"], NOW_S))


def test_who_joins_takes_the_place_of_who_had_the_name() -> None:
    registry, first, second = Registry(), certificate("node-2"), certificate("node-2")
    registry.join(first, "10.0.0.2", this_version(), NOW_S)
    assert registry.check(first).host == "10.0.0.2"
    registry.join(second, "10.0.0.3", this_version(), NOW_S)
    assert registry.check(second).host == "10.0.0.3"
    with pytest.raises(UnauthenticatedError, match="was replaced"):
        registry.check(first)


def test_who_left_may_come_back_and_who_was_removed_may_not() -> None:
    registry, shown = Registry(), certificate("node-2")
    registry.join(shown, "10.0.0.2", this_version(), NOW_S)
    registry.leave("node-2", NOW_S)
    assert registry.check(shown).state is NodeState.LEFT
    registry.see(shown, NOW_S + 1)
    assert registry.check(shown).state is NodeState.MEMBER
    registry.remove("node-2")
    with pytest.raises(UnauthenticatedError, match="removed"):
        registry.check(shown)
    with pytest.raises(UnauthenticatedError, match="knows no such node"):
        registry.check(certificate("node-3"))
    with pytest.raises(UsageError, match="cluster nodes"):
        registry.remove("node-3")


def test_a_renewed_certificate_counts_beside_the_former_one_until_it_is_shown() -> None:
    registry, first, second = Registry(), certificate("node-2"), certificate("node-2")
    registry.join(first, "10.0.0.2", this_version(), NOW_S)
    registry.renew(first, second, "10.0.0.3", NOW_S)
    assert registry.check(first).host == "10.0.0.3"  # the answer was lost
    registry.see(first, NOW_S)
    assert registry.check(second).host == "10.0.0.3"
    registry.see(second, NOW_S)
    with pytest.raises(UnauthenticatedError, match="was replaced"):
        registry.check(first)


def test_nodes_that_are_gone_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_module, "MAX_NODES", 2)
    registry = Registry()
    for name in ("a", "b"):
        registry.join(certificate(name), "10.0.0.2", this_version(), NOW_S)
    with pytest.raises(CapacityError, match="cluster nodes rm"):
        registry.join(certificate("c"), "10.0.0.2", this_version(), NOW_S)
    registry.leave("b", NOW_S)
    registry.join(certificate("c"), "10.0.0.2", this_version(), NOW_S)
    assert [member.name for member in registry.all] == ["a", "c"]


def test_the_file_is_read_back(tmp_path: Path) -> None:
    with open_registry(tmp_path) as registry:
        registry.join(certificate("node-2"), "10.0.0.2", this_version(), NOW_S)
        registry.leave("node-2", NOW_S)
        written = registry.all
    assert read_registry(tmp_path).all == written


@given(st.one_of(st.binary(max_size=100), st.from_regex(rb'\{"version": 1, "nodes": .{0,40}\}', fullmatch=True)))
def test_a_damaged_file_is_one_error_that_names_it(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name, NODES)
        path.write_bytes(content)
        path.chmod(0o600)
        try:
            assert read_registry(Path(name)).all == ()
        except ClusterError as error:
            assert NODES in str(error)


def test_all_that_must_agree_is_compared() -> None:
    ours = this_version()
    assert differences(ours, ours) == []
    theirs = replace(ours, **{name: type(getattr(ours, name))(0) for name in MUST_AGREE}, platform="other")
    assert len(differences(ours, theirs)) == len(MUST_AGREE)
