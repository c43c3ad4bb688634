"""Whether other nodes will believe an identity: looked at before it is used, not only when they refuse it."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID

from cluster.trust.identity import Identity

USAGES = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)


def fault_of(identity: Identity, now: datetime.datetime) -> str | None:
    """Why nobody would believe this identity at the time `now` (with its zone), as a clause; None if they would."""
    try:
        ca = x509.load_pem_x509_certificate(identity.ca_pem)
        certificate = x509.load_pem_x509_certificate(identity.cert_pem)
        key = serialization.load_pem_private_key(identity.key_pem, None)
        names, usages = _names_and_usages(certificate)
    except (ValueError, TypeError) as error:
        return f"it is damaged ({error})"
    if key.public_key() != certificate.public_key():
        return "its key belongs to another certificate"
    try:
        certificate.verify_directly_issued_by(ca)
    except (ValueError, TypeError, InvalidSignature):
        return "another cluster's authority signed its certificate"
    for what, dated in (("the authority's", ca), ("its", certificate)):
        if now < dated.not_valid_before_utc:
            return f"{what} certificate is valid from {dated.not_valid_before_utc:%Y-%m-%d %H:%M} UTC on"
        if now > dated.not_valid_after_utc:
            return f"{what} certificate expired at {dated.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
    if identity.server_name not in names:
        return f"its certificate is not one of {identity.server_name}"
    if not set(USAGES) <= set(usages):
        return "its certificate is not for both ends of a connection"
    return None


def _names_and_usages(certificate: x509.Certificate) -> tuple[Sequence[str], Sequence[x509.ObjectIdentifier]]:
    extensions = certificate.extensions
    try:
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)
        return names, list(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except x509.ExtensionNotFound:
        return (), ()
