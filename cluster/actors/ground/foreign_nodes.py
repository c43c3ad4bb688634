"""The machines of a Ray that somebody else started: what they are to each other, and how they are told."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from cluster.actors.nodes.enrolment import Enrolment
from cluster.api.errors import UnreachableError, UsageError
from cluster.node.advertised import is_own_address
from cluster.node.home import IDENTITY, Home, NodeRecord, write_home
from cluster.node.secret import read_secret
from cluster.node.state import state_folder
from cluster.trust.authority import Authority
from cluster.trust.identity import write_identity
from cluster.trust.kept_authority import open_authority

if TYPE_CHECKING:
    from cluster.actors.nodes.agents import Agents
    from cluster.actors.ray_side.nodes import RayNode

TLS = "RAY_USE_TLS"
ENROL_S = 20.0


def are_here(nodes: tuple[RayNode, ...]) -> bool:
    """Whether all of them are this machine, so that nothing of ours needs to leave it."""
    return all(is_own_address(node.host) for node in nodes)


def check_encrypted(nodes: tuple[RayNode, ...]) -> None:
    """UsageError unless this process was told that Ray speaks TLS: our secrets pass through it."""
    if os.environ.get(TLS) != "1":
        num_machines = len({node.host for node in nodes})
        raise UsageError(
            f"Ray has nodes on {num_machines} machines, and says everything between them in plaintext; give {TLS}=1 "
            "and certificates to all of it, as Ray's page on TLS says, or give --insecure"
        )


def enrol(agents: Agents, first_port: int, *, is_secure: bool) -> None:
    """Make every node of the last look a node of our cluster, and this machine one of them. They keep it, if they are.

    UsageError where Ray would carry the secrets in plaintext, or this machine is none of its nodes; UnreachableError.
    """
    nodes = agents.nodes
    if is_secure:
        check_encrypted(nodes)
    authority = open_authority(state_folder(), time.time())
    head = nodes[0]
    records = {
        node.name: NodeRecord(node.name, authority.cluster_id, node.host, first_port, is_secure, head.host)
        for node in nodes
    }
    home = _home_of_this_machine(nodes, records, authority)
    secret, client_secret = read_secret(home.secret_file).text, read_secret(home.client_secret_file).text
    told = {}
    for name, request in agents.ask_all("request", ENROL_S).items():
        if request is not None:
            is_head = name == head.name
            cert_pem = authority.sign(request, name, [records[name].host], time.time(), is_head=is_head)
            told[name] = Enrolment(records[name], authority.certificate_pem, cert_pem, secret, client_secret)
    agents.tell("enrol", told, ENROL_S)


def _home_of_this_machine(nodes: tuple[RayNode, ...], records: dict[str, NodeRecord], authority: Authority) -> Home:
    """This machine speaks to the others, too: it gives them weights, and is a client."""
    here = next((node for node in nodes if is_own_address(node.host)), None)
    if here is None:
        raise UnreachableError("Ray: this machine is none of its nodes; run this on one of them")
    write_identity(state_folder() / IDENTITY, authority.head_identity(here.name, [here.host], time.time()))
    return write_home(state_folder(), records[here.name])
