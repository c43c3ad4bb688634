"""Where a server of ours listens, and how we prove to it that we may speak to it. The place for certificates, too."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.node.secret import Secret
from cluster.wire.access.proof import Metadata, Proof
from cluster.wire.transport.channel import port_of


@dataclass(frozen=True, slots=True)
class Endpoint:
    """ "host:port", and the secret that is asked there; None where none is known, which such a server refuses."""

    address: str
    secret: Secret | None

    def prove(self, path: str) -> Proof | None:
        """For one call of the method at `path`."""
        return None if self.secret is None else Proof(self.secret, port_of(self.address), path)


def sent_with(proof: Proof | None) -> Metadata | None:
    """The metadata of a call that has this proof."""
    return None if proof is None else proof.metadata
