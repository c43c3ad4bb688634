"""Whether other nodes will believe an identity: looked at before it is used, not only when they refuse it."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID

from cluster.trust.identity import Identity

# What reading a certificate, a request or a key raises where it is damaged.
DAMAGED = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.AttributeNotFound,
    x509.DuplicateExtension,
    x509.ExtensionNotFound,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
USAGES = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)


def fault_of(identity: Identity, now: datetime.datetime) -> str | None:
    """Why nobody would believe this identity at the time `now` (with its zone), as a clause; None if they would."""
    fault = fault_of_pair(identity.ca_pem, identity.cert_pem, identity.key_pem, now)
    if fault:
        return fault
    names, _ = _names_and_usages(x509.load_pem_x509_certificate(identity.cert_pem))
    return None if identity.server_name in names else f"its certificate is not one of {identity.server_name}"


def fault_of_pair(ca_pem: bytes, cert_pem: bytes, key_pem: bytes, now: datetime.datetime) -> str | None:
    """The same for a certificate and its key, whatever their node is called."""
    try:
        ca = x509.load_pem_x509_certificate(ca_pem)
        certificate = x509.load_pem_x509_certificate(cert_pem)
        key = serialization.load_pem_private_key(key_pem, None)
        _, usages = _names_and_usages(certificate)
    except DAMAGED as error:
        return f"it is damaged ({error})"
    if key.public_key() != certificate.public_key():
        return "its key belongs to another certificate"
    fault = fault_between(certificate, ca, now)
    if fault is not None:
        return fault
    if not set(USAGES) <= set(usages):
        return "its certificate is not for both ends of a connection"
    return None


def fault_between(certificate: x509.Certificate, ca: x509.Certificate, now: datetime.datetime) -> str | None:
    """Why the authority `ca` makes nobody believe `certificate` at the time `now`, as a clause; None if it does."""
    try:
        certificate.verify_directly_issued_by(ca)
    except (InvalidSignature, *DAMAGED):
        return "another cluster's authority signed its certificate"
    for what, dated in (("the authority's", ca), ("its", certificate)):
        begin, end = dated.not_valid_before_utc, dated.not_valid_after_utc
        if now < begin:
            return (
                f"{what} certificate is valid from {begin:%Y-%m-%d %H:%M} UTC on, and this machine's clock says "
                f"{now:%Y-%m-%d %H:%M}"
            )
        if now > end:
            return f"{what} certificate expired at {end:%Y-%m-%d %H:%M} UTC"
    return None


def _names_and_usages(certificate: x509.Certificate) -> tuple[Sequence[str], Sequence[x509.ObjectIdentifier]]:
    extensions = certificate.extensions
    try:
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)
        return names, list(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except x509.ExtensionNotFound:
        return (), ()
