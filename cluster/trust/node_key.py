"""The key of a node, and the request for a certificate over it: only the request leaves the node."""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from cluster.api.errors import ClusterError
from cluster.trust.soundness import DAMAGED


def new_key() -> bytes:
    """A new P-256 key as PEM, not encrypted: it lies in a file that only its owner may read."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def signing_request(key_pem: bytes, name: str) -> bytes:
    """A request for a certificate in PEM, which says that the node `name` holds the key. ClusterError for no key."""
    try:
        key = serialization.load_pem_private_key(key_pem, None)
    except DAMAGED as error:
        raise ClusterError("node key: not a private key; join the cluster again") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ClusterError("node key: not of the kind that this version makes; join the cluster again")
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM)


def is_key(key_pem: bytes) -> bool:
    """Whether `signing_request` can use it."""
    try:
        signing_request(key_pem, "any")
    except ClusterError:
        return False
    return True
