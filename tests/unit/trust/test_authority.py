"""The authority signs what it means to, whatever a request asks for."""

from __future__ import annotations

import ipaddress
from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.api.errors import ClusterError, UsageError
from cluster.trust.authority import Authority
from cluster.trust.certificate import (
    ca_hash,
    check_authority,
    check_certificate,
    check_issued,
    is_due,
    key_hash,
    read_certificate,
    to_pem,
)
from cluster.trust.identity import Identity
from cluster.trust.node_key import new_key, signing_request

NOW_S = 1.8e9
DAY_S = 86400.0
CLUSTER = "abcdefgh23"
AUTHORITY = Authority.new(CLUSTER, NOW_S)
KEY = new_key()
REQUEST = signing_request(KEY, "node-2")
DER = x509.load_pem_x509_certificate(AUTHORITY.sign(REQUEST, "node-2", ["10.0.0.2"], NOW_S)).public_bytes(
    serialization.Encoding.DER
)


def identity(cert_pem: bytes, name: str = "node-2") -> Identity:
    return Identity(name, CLUSTER, AUTHORITY.certificate_pem, cert_pem, KEY)


def test_what_a_certificate_says_is_read_back() -> None:
    cert = AUTHORITY.sign(REQUEST, "node-2", ["10.0.0.2", "fd77::2"], NOW_S)
    found = check_certificate(identity(cert), "10.0.0.2", NOW_S)
    assert (found.node, found.cluster_id, found.is_head) == ("node-2", CLUSTER, False)
    assert found.hosts == ("10.0.0.2", "fd77::2", "127.0.0.1", "::1")
    assert (found.begin_s, found.end_s) == (NOW_S - DAY_S, NOW_S + 365 * DAY_S)
    assert found.key_hash == key_hash(REQUEST)
    assert (
        read_certificate(to_pem(x509.load_pem_x509_certificate(cert).public_bytes(serialization.Encoding.DER))) == found
    )


def test_only_the_head_is_named_for_the_cluster() -> None:
    head = AUTHORITY.head_identity("node-1", ["10.0.0.1"], NOW_S)
    assert check_certificate(head, "10.0.0.1", NOW_S).is_head


def test_an_authority_is_the_same_after_it_was_written() -> None:
    again = Authority.of_pem(AUTHORITY.certificate_pem, AUTHORITY.key_pem)
    assert again == AUTHORITY
    assert again.hash == ca_hash(AUTHORITY.certificate_pem) != Authority.new(CLUSTER, NOW_S).hash
    assert len(again.hash) == 32
    with pytest.raises(ClusterError, match="another certificate"):
        Authority.of_pem(AUTHORITY.certificate_pem, Authority.new(CLUSTER, NOW_S).key_pem)
    with pytest.raises(ClusterError, match="damaged"):
        Authority.of_pem(AUTHORITY.certificate_pem, b"-----BEGIN")


def test_a_certificate_ends_with_its_authority_at_the_latest() -> None:
    late_s = NOW_S + 3649 * DAY_S
    cert = AUTHORITY.sign(REQUEST, "node-2", ["10.0.0.2"], late_s)
    assert read_certificate(cert).end_s == NOW_S + 3650 * DAY_S


def test_what_is_wrong_with_a_certificate_is_named() -> None:
    cert = AUTHORITY.sign(REQUEST, "node-2", ["10.0.0.2"], NOW_S)
    with pytest.raises(ClusterError, match="expired at"):
        check_certificate(identity(cert), "10.0.0.2", NOW_S + 366 * DAY_S)
    with pytest.raises(ClusterError, match="this machine's clock says"):
        check_certificate(identity(cert), "10.0.0.2", NOW_S - 2 * DAY_S)
    with pytest.raises(ClusterError, match=r"has the addresses 10\.0\.0\.2, .*and not 10\.0\.0\.3"):
        check_certificate(identity(cert), "10.0.0.3", NOW_S)
    with pytest.raises(ClusterError, match=r"is not one of node-3\."):
        check_certificate(identity(cert, "node-3"), "10.0.0.2", NOW_S)
    with pytest.raises(ClusterError, match="another cluster's authority"):
        check_issued(cert, Authority.new(CLUSTER, NOW_S).certificate_pem, NOW_S)
    other_key = AUTHORITY.sign(signing_request(new_key(), "node-2"), "node-2", ["10.0.0.2"], NOW_S)
    with pytest.raises(ClusterError, match="belongs to another certificate"):
        check_certificate(identity(other_key), "10.0.0.2", NOW_S)


def test_a_node_is_no_authority() -> None:
    cert = AUTHORITY.sign(REQUEST, "node-2", ["10.0.0.2"], NOW_S)
    with pytest.raises(UsageError, match="may not sign others"):
        check_authority(cert)
    with pytest.raises(UsageError):
        read_certificate(AUTHORITY.certificate_pem)
    of_node = Authority(CLUSTER, cert, KEY)
    forged = of_node.sign(signing_request(new_key(), "node-1"), "node-1", ["10.0.0.1"], NOW_S, is_head=True)
    with pytest.raises(ClusterError):
        check_issued(forged, AUTHORITY.certificate_pem, NOW_S)


def test_a_certificate_is_due_after_two_thirds_of_its_life() -> None:
    cert = read_certificate(AUTHORITY.sign(REQUEST, "node-2", ["10.0.0.2"], NOW_S))
    assert not is_due(cert, NOW_S + 242 * DAY_S)
    assert is_due(cert, NOW_S + 244 * DAY_S)


def test_what_a_request_asks_for_is_ignored() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    asked = x509.SubjectAlternativeName(
        [x509.DNSName(f"{CLUSTER}.ggml-cluster"), x509.IPAddress(ipaddress.ip_address("10.0.0.1"))]
    )
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "node-1")]))
        .add_extension(asked, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    cert = AUTHORITY.sign(request, "node-2", ["10.0.0.2"], NOW_S)
    found = read_certificate(cert)
    assert (found.node, found.is_head) == ("node-2", False)
    assert "10.0.0.1" not in found.hosts
    assert not x509.load_pem_x509_certificate(cert).extensions.get_extension_for_class(x509.BasicConstraints).value.ca


@pytest.mark.parametrize(
    "key",
    [
        rsa.generate_private_key(65537, 1024),
        ec.generate_private_key(ec.SECP384R1()),
        ed25519.Ed25519PrivateKey.generate(),
    ],
)
def test_keys_of_other_kinds_are_refused(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> None:
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, algorithm)
    with pytest.raises(UsageError, match="P-256"):
        AUTHORITY.sign(request.public_bytes(serialization.Encoding.PEM), "node-2", ["10.0.0.2"], NOW_S)


@given(st.one_of(st.binary(max_size=300), st.integers(0, len(REQUEST) - 1), st.just(b"A" * 5000)))
def test_a_damaged_request_is_one_error_of_ours(damage: bytes | int) -> None:
    request = damage
    if isinstance(damage, int):
        request = REQUEST[:damage] + bytes([REQUEST[damage] ^ 1]) + REQUEST[damage + 1 :]
    assert isinstance(request, bytes)
    try:
        AUTHORITY.sign(request, "node-2", ["10.0.0.2"], NOW_S)
    except UsageError as error:
        assert "\n" not in str(error)


# The library warns of what it will refuse one day.
@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
@settings(max_examples=500)
@given(st.data())
def test_a_damaged_certificate_is_one_error_of_ours_or_says_the_same(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(DER) - 1))
    damaged = DER[:at] + bytes([DER[at] ^ data.draw(st.integers(1, 255))]) + DER[at + 1 :]
    try:
        found = check_issued(damaged, AUTHORITY.certificate_pem, NOW_S)
    except ClusterError as error:
        assert "\n" not in str(error)
    else:  # the number of unused bits behind the signature is not part of what is signed
        assert replace(found, fingerprint="") == replace(read_certificate(DER), fingerprint="")
