"""Authorities and certificates as tests need them, the faulty ones too, which an authority of ours would not make."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from cluster.trust.identity import Identity, server_name

HOSTS = ("127.0.0.1", "127.0.0.2", "::1")
BOTH = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)
SERVER_ONLY = BOTH[:1]
CLIENT_ONLY = BOTH[1:]
HOUR = datetime.timedelta(hours=1)
DAY = 24 * HOUR  # many are made when tests are collected, an hour or more before they are shown


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


@dataclass(frozen=True)
class FakeAuthority:
    """Signs what it is asked to."""

    cluster_id: str
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def new(cls, cluster_id: str = "abcdef") -> FakeAuthority:
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name(f"ggml-cluster {cluster_id}")
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now() - HOUR)
            .not_valid_after(now() + 2 * DAY)
            .add_extension(x509.BasicConstraints(True, 0), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        return cls(cluster_id, key, certificate)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def identity(
        self,
        node: str,
        *,
        begins: datetime.timedelta = -HOUR,
        ends: datetime.timedelta = DAY,
        usages: Sequence[x509.ObjectIdentifier] = BOTH,
        names: Sequence[str] | None = None,
        trusts: FakeAuthority | None = None,
    ) -> Identity:
        """A node's identity, valid from now + `begins` to now + `ends`; `names` in place of its own, () for none.

        `trusts`: the authority whose certificate lies beside it, in place of this one.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(node))
            .issuer_name(self.certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now() + begins)
            .not_valid_after(now() + ends)
            .add_extension(x509.BasicConstraints(False, None), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        )
        if names is None:
            names = (server_name(node, self.cluster_id), "localhost")
        if names:
            every = [*map(x509.DNSName, names), *(x509.IPAddress(ipaddress.ip_address(host)) for host in HOSTS)]
            builder = builder.add_extension(x509.SubjectAlternativeName(every), critical=False)
        return Identity(
            node,
            self.cluster_id,
            (trusts or self).pem,
            builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM),
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
        )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
