"""How the nodes of a Ray that somebody else started get an identity of our cluster: through Ray, which is all there is.

Each node makes its key, and only a request for a certificate leaves it. The machine where `cluster up` runs signs it.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from cluster.node.home import Home, NodeRecord, write_home
from cluster.node.run_folder import make_run_folder, run_folder_path
from cluster.node.secret import Secret, write_secret
from cluster.trust.identity import Identity, write_identity

HOME = "home"  # below the run folder of the node


@dataclass(frozen=True, slots=True)
class Enrolment:
    """Who a node is from now on. Set by whoever brings the cluster up."""

    record: NodeRecord
    ca_pem: bytes
    cert_pem: bytes
    secret: str = field(repr=False)  # hexadecimal digits
    client_secret: str = field(repr=False)


def make_home(enrolment: Enrolment, key_pem: bytes) -> Home:
    """The home of this node, below a new run folder that only this user may enter. ClusterError."""
    run_folder = run_folder_path(secrets.token_hex(8))
    make_run_folder(run_folder)
    folder = run_folder / HOME
    folder.mkdir(mode=0o700)
    record = enrolment.record
    home = write_home(folder, record)
    identity = Identity(record.name, record.cluster_id, enrolment.ca_pem, enrolment.cert_pem, key_pem)
    write_identity(home.identity_folder, identity)
    write_secret(home.secret_file, Secret.of_text(enrolment.secret))
    write_secret(home.client_secret_file, Secret.of_text(enrolment.client_secret))
    return home
