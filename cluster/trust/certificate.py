"""Certificates of a cluster, read and checked: whose they are, how long they count, and what is wrong with them."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from cluster.api.errors import ClusterError, UsageError
from cluster.trust.identity import DOMAIN, Identity
from cluster.trust.names import check_cluster_id, check_node_name
from cluster.trust.soundness import DAMAGED, fault_between, fault_of

HASH_BYTES = 20  # of SHA-256: 160 bits, as 32 characters
MAX_CERTIFICATE_BYTES = 8192  # ours have some 1,000
DUE_AT = 2 / 3  # of its life; then a certificate is to be renewed
REJOIN = "join the cluster again with a new join string: cluster token create"
_Read = TypeVar("_Read")


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a certificate of a node says. Times are seconds since 1970."""

    node: str
    cluster_id: str
    is_head: bool
    hosts: tuple[str, ...]  # IP addresses
    begin_s: float
    end_s: float
    fingerprint: str  # SHA-256 of the whole, in hexadecimal digits
    key_hash: str  # SHA-256 of its key, in hexadecimal digits: the same in renewed ones


def read_certificate(data: bytes) -> Certificate:
    """A node's certificate, PEM or DER. UsageError where it is none that an authority of ours makes."""
    return _checked("certificate", data, _read_node)


def ca_hash(data: bytes) -> str:
    """The first 160 bits of SHA-256 over the public key of an authority's certificate (PEM or DER), as base32."""
    return _checked("authority", data, _ca_hash)


def key_hash(request_pem: bytes) -> str:
    """`Certificate.key_hash` of the certificate that this request would be answered with. UsageError."""

    def read(data: bytes) -> str:
        return _hash_of_key(x509.load_pem_x509_csr(data)).hex()

    return _checked("certificate request", request_pem, read)


def check_authority(data: bytes) -> str:
    """The id of the cluster whose authority's certificate this is, PEM or DER. UsageError where it is none."""
    return _checked("authority", data, _read_authority)


def to_pem(data: bytes) -> bytes:
    """A certificate, PEM or DER, as PEM. UsageError."""
    return _checked("certificate", data, lambda found: _load(found).public_bytes(serialization.Encoding.PEM))


def check_issued(data: bytes, ca: bytes, now_s: float) -> Certificate:
    """The node's certificate `data`, once it is sure that the authority of the certificate `ca` signed it, and that
    both are valid at `now_s`. ClusterError says what is not so."""
    found, cluster_id = read_certificate(data), check_authority(ca)
    fault = fault_between(_load(data), _load(ca), _time(now_s))
    if fault is not None:
        raise ClusterError(f"node {found.node}: {fault}; {REJOIN}")
    if found.cluster_id != cluster_id:
        raise ClusterError(f"node {found.node}: its certificate is of cluster {found.cluster_id}, not {cluster_id}")
    return found


def check_certificate(identity: Identity, host: str, now_s: float) -> Certificate:
    """The identity's certificate, once it is sure that it proves `identity` at the address `host`, now.

    ClusterError says exactly what is wrong. Ray starts with a certificate that lacks the address, and hangs later.
    """
    found = read_certificate(identity.cert_pem)
    fault = fault_of(identity, _time(now_s))
    if fault is not None:
        raise ClusterError(f"node {identity.name}: {fault}; {REJOIN}")
    if host not in found.hosts:
        raise ClusterError(
            f"node {identity.name}: its certificate has the addresses {', '.join(found.hosts)}, and not {host}; renew "
            "it by joining again at this address"
        )
    return found


def is_due(certificate: Certificate, now_s: float) -> bool:
    """Whether two thirds of a certificate's life are over, so that it is to be renewed."""
    return now_s > certificate.begin_s + DUE_AT * (certificate.end_s - certificate.begin_s)


def _read_node(data: bytes) -> Certificate:
    certificate = _load(data)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    ours = [name.split(".") for name in names.get_values_for_type(x509.DNSName) if name.endswith(f".{DOMAIN}")]
    nodes = [(parts[0], parts[1]) for parts in ours if len(parts) == 3]
    if len(nodes) != 1:
        raise ValueError(f"it names {len(nodes)} nodes")
    node, cluster_id = check_node_name(nodes[0][0]), check_cluster_id(nodes[0][1])
    return Certificate(
        node=node,
        cluster_id=cluster_id,
        is_head=[cluster_id, DOMAIN] in ours,
        hosts=tuple(map(str, names.get_values_for_type(x509.IPAddress))),
        begin_s=certificate.not_valid_before_utc.timestamp(),
        end_s=certificate.not_valid_after_utc.timestamp(),
        fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
        key_hash=_hash_of_key(certificate).hex(),
    )


def _read_authority(data: bytes) -> str:
    certificate = _load(data)
    if not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
        raise ValueError("it may not sign others")
    name = certificate.subject.rfc4514_string()
    if not name.startswith("CN=") or not name.endswith(f".{DOMAIN}"):
        raise ValueError("it is of no cluster")
    return check_cluster_id(name.removeprefix("CN=").removesuffix(f".{DOMAIN}"))


def _ca_hash(data: bytes) -> str:
    return base64.b32encode(_hash_of_key(_load(data))[:HASH_BYTES]).decode("ascii").lower()


def _hash_of_key(holder: x509.Certificate | x509.CertificateSigningRequest) -> bytes:
    key = holder.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(key).digest()


def _load(data: bytes) -> x509.Certificate:
    if data.lstrip().startswith(b"-----BEGIN"):
        return x509.load_pem_x509_certificate(data)
    return x509.load_der_x509_certificate(data)


def _checked(what: str, data: bytes, read: Callable[[bytes], _Read]) -> _Read:
    """What `read` finds; UsageError for whatever it stumbles over."""
    try:
        if len(data) > MAX_CERTIFICATE_BYTES:
            raise ValueError(f"{len(data)} bytes are too many")
        return read(data)
    except DAMAGED as error:
        raise UsageError(
            f"{what}: none of ggml-cluster ({str(error)[:100]}); see what listens there, or join again"
        ) from error


def _time(at_s: float) -> datetime:
    return datetime.fromtimestamp(at_s, UTC)
