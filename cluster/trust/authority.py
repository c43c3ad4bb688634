"""The authority of a cluster: the key whose signature makes a machine a node of it. It lies on the head only."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from cluster.api.errors import ClusterError, UsageError
from cluster.trust.certificate import ca_hash, check_authority
from cluster.trust.identity import DOMAIN, Identity, head_server_name, server_name
from cluster.trust.names import check_cluster_id, check_host, check_node_name
from cluster.trust.node_key import new_key, signing_request
from cluster.trust.soundness import DAMAGED

AUTHORITY_LIFETIME_S = 10 * 365 * 86400.0
NODE_LIFETIME_S = 365 * 86400.0
CLOCK_MARGIN_S = 86400.0  # certificates begin that long ago: clocks of machines differ
MAX_REQUEST_BYTES = 4096  # a request of ours has some 400
MAX_HOSTS = 8
_ALWAYS = ("127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Authority:
    """Its certificate and key as PEM, and the cluster that it speaks for."""

    cluster_id: str
    certificate_pem: bytes
    key_pem: bytes = field(repr=False)

    @classmethod
    def new(cls, cluster_id: str, now_s: float) -> Authority:
        """Of a new cluster. `now_s`: seconds since 1970. UsageError for what is no id of a cluster."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{check_cluster_id(cluster_id)}.{DOMAIN}")])
        own_id = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        certificate = (
            _builder(name, name, key.public_key(), now_s - CLOCK_MARGIN_S, now_s + AUTHORITY_LIFETIME_S)
            # It signs nodes, and no further authorities.
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .add_extension(own_id, critical=False)
            .sign(key, hashes.SHA256())
        )
        return cls(cluster_id, _pem(certificate), _key_pem(key))

    @classmethod
    def of_pem(cls, certificate_pem: bytes, key_pem: bytes) -> Authority:
        """As it was written. ClusterError where it is no authority of ours, or certificate and key are no pair."""
        cluster_id = check_authority(certificate_pem)
        key = _signing_key(key_pem)
        certificate = x509.load_pem_x509_certificate(certificate_pem)
        if certificate.public_key() != key.public_key():
            raise ClusterError("authority: its key belongs to another certificate; restore both from one copy")
        return cls(cluster_id, certificate_pem, key_pem)

    @property
    def hash(self) -> str:
        """What a join string says of this authority: see `ca_hash`."""
        return ca_hash(self.certificate_pem)

    def sign(
        self,
        request_pem: bytes,
        name: str,
        hosts: Iterable[str],
        now_s: float,
        lifetime_s: float = NODE_LIFETIME_S,
        *,
        is_head: bool = False,
    ) -> bytes:
        """The certificate, as PEM, of the node `name` at the addresses `hosts`, over the key in the request.

        Only the key is taken from the request: names and extensions that it asks for are ignored. `is_head` lets
        the node speak for the cluster itself. UsageError for a request that is none, or has a key of another kind.
        """
        public_key = _requested_key(request_pem)
        authority = x509.load_pem_x509_certificate(self.certificate_pem)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, check_node_name(name))])
        end_s = min(now_s + lifetime_s, authority.not_valid_after_utc.timestamp())
        key = _signing_key(self.key_pem)
        certificate = (
            _builder(subject, authority.subject, public_key, now_s - CLOCK_MARGIN_S, end_s)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
                critical=False,
            )
            .add_extension(self._names(name, hosts, is_head), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        return _pem(certificate)

    def head_identity(self, name: str, hosts: Iterable[str], now_s: float) -> Identity:
        """A new identity of the head. UsageError as for `sign`."""
        key_pem = new_key()
        request = signing_request(key_pem, name)
        cert_pem = self.sign(request, name, hosts, now_s, is_head=True)
        return Identity(name, self.cluster_id, self.certificate_pem, cert_pem, key_pem)

    def _names(self, name: str, hosts: Iterable[str], is_head: bool) -> x509.SubjectAlternativeName:
        addresses = list(dict.fromkeys((*map(check_host, hosts), *_ALWAYS)))
        if len(addresses) > MAX_HOSTS:
            raise UsageError(f"addresses: {len(addresses)} are too many for one node; give at most {MAX_HOSTS - 2}")
        names = [server_name(name, self.cluster_id), name, "localhost"]
        if is_head:
            names.append(head_server_name(self.cluster_id))
        return x509.SubjectAlternativeName(
            [*map(x509.DNSName, names), *(x509.IPAddress(ipaddress.ip_address(host)) for host in addresses)]
        )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, begin_s: float, end_s: float
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(_time(begin_s))
        .not_valid_after(_time(end_s))
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _requested_key(request_pem: bytes) -> ec.EllipticCurvePublicKey:
    """The key in a request, whose sender has proved to hold it."""
    if len(request_pem) > MAX_REQUEST_BYTES:
        raise UsageError(f"certificate request: {len(request_pem)} bytes; it must have at most {MAX_REQUEST_BYTES}")
    try:
        request = x509.load_pem_x509_csr(request_pem)
        key = request.public_key()
        # A signature by another kind of key may take long to check.
        if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
            if not request.is_signature_valid:
                raise ValueError("its signature is wrong")
            return key
    except DAMAGED as error:
        raise UsageError(f"certificate request: not one ({str(error)[:100]}); join again") from error
    raise UsageError("certificate request: its key is not of P-256; run the same version of ggml-cluster on both ends")


def _signing_key(key_pem: bytes) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(key_pem, None)
    except DAMAGED as error:
        raise ClusterError("authority: its key is damaged; restore it from a copy, or make a new cluster") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ClusterError("authority: its key is of another kind; restore it from a copy, or make a new cluster")
    return key


def _time(at_s: float) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=int(at_s))


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
