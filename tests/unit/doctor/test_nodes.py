"""Of a node, the doctor says whether the others and it believe and reach each other."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from cluster.doctor.nodes import check_nodes
from cluster.membership.joining import join
from cluster.membership.preflight import own_identity
from cluster.membership.serving import Attendant
from cluster.node.home import Home, write_home
from cluster.trust.identity import write_identity
from tests.fakes.head import running_head


def verdicts(folder: Path) -> dict[str, str]:
    return {check.name: check.verdict for check in check_nodes(folder)}


def without_ray(home: Home) -> Home:
    """The same node of a cluster whose Ray speaks no TLS: there is none here to meet."""
    assert home.record is not None
    return write_home(home.folder, replace(home.record, is_secure=False))


def attend(home: Home) -> Attendant:
    attendant = Attendant(home, lambda reason: None, lambda: "nothing")
    attendant.start()
    return attendant


def test_a_machine_alone_has_no_lines(tmp_path: Path) -> None:
    assert verdicts(tmp_path) == {}


def test_a_damaged_record_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "node.json").write_text("{")
    (check,) = check_nodes(tmp_path)
    assert (check.verdict, check.advice) == ("fail", "delete it, and join again")


def test_nodes_look_at_each_other(tmp_path: Path) -> None:
    with running_head(tmp_path / "head") as head:
        head.home = without_ray(head.home)
        homes = [join(tmp_path / f"{i}", head.address, head.token(), f"node-{i}", head.beside(i)) for i in (2, 3)]
        homes = [without_ray(home) for home in homes]
        head.cluster.living |= {"node-2", "node-3"}
        attendants = [attend(home) for home in homes]
        try:
            all_well = {"certificate": "ok", "head": "ok"}
            assert verdicts(head.home.folder) == all_well | {"node node-2": "ok", "node node-3": "ok"}
            assert verdicts(homes[0].folder) == all_well | {"node node-3": "ok"}
            attendants[1].stop()
            assert verdicts(homes[0].folder) == all_well | {"node node-3": "fail"}
        finally:
            for attendant in attendants:
                attendant.stop()
    assert verdicts(homes[0].folder) == {"certificate": "ok", "head": "fail", "nodes": "fail"}


def test_an_old_certificate_is_named_with_what_to_do(tmp_path: Path) -> None:
    with running_head(tmp_path / "head") as head:
        home = head.home
        ended = head.authority.head_identity("node-1", [home.host], time.time() - 400 * 86400)
        write_identity(home.identity_folder, ended)
        (check,) = check_nodes(home.folder)
        assert "expired at" in check.found
        assert check.advice.startswith("join the cluster again")
        assert own_identity(home) == ended
