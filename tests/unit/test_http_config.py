"""What the settings of the HTTP server mean, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.api.errors import UsageError
from cluster.config import load_config
from cluster.http_config import HttpAddress, HttpConfig, digest_of, key_digests


@pytest.mark.parametrize(
    ("http", "address"),
    [
        ("auto", HttpAddress("127.0.0.1", None)),
        ("off", None),
        ("9000", HttpAddress("127.0.0.1", 9000)),
        ("localhost:0", HttpAddress("localhost", 0)),
        ("[::1]:80", HttpAddress("::1", 80)),
    ],
)
def test_where_it_listens(http: str, address: HttpAddress | None) -> None:
    assert HttpConfig(http=http).http_address == address


@pytest.mark.parametrize("http", ["", "here", "127.0.0.1", ":", ":80", "a:b", "a:65536", "a:٣", "a:-1"])
def test_what_is_no_address_is_refused(http: str) -> None:
    with pytest.raises(UsageError, match=r"^http: "):
        HttpConfig(http=http).check_http()


def test_whoever_listens_to_others_asks_for_a_key() -> None:
    with pytest.raises(UsageError, match="give --api-key"):
        HttpConfig(http="0.0.0.0:8000").check_http()
    HttpConfig(http="0.0.0.0:8000", api_key=key_digests(["k"])).check_http()


def test_keys_are_kept_as_digests(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("# ours\none\n\ntwo \n")
    assert key_digests(["zero", f"@{file}", "one"]) == (digest_of("zero"), digest_of("one"), digest_of("two"))
    model = tmp_path / "m.gguf"
    config = load_config(None, {"model": str(model), "api_key": ("zero",)})
    assert config.api_key == (digest_of("zero"),)
    assert load_config(None, {"model": str(model), "api_key": config.api_key}) == config


@pytest.mark.parametrize("given", ["", " ", "@/nowhere/at/all", "x" * 5000])
def test_what_is_no_key_is_refused_without_being_shown(given: str) -> None:
    with pytest.raises(UsageError, match=r"^api-key: ") as refused:
        key_digests([given])
    assert "xxx" not in str(refused.value)


def test_an_empty_file_of_keys_does_not_open_the_door(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("\n# nothing\n")
    with pytest.raises(UsageError, match="no key in it"):
        key_digests([f"@{tmp_path / 'keys'}"])


def test_a_certificate_needs_its_key() -> None:
    with pytest.raises(UsageError, match="go together"):
        HttpConfig(ssl_cert_file="/c").check_http()


def test_an_origin_has_a_scheme() -> None:
    with pytest.raises(UsageError, match="no origin"):
        HttpConfig(cors=("chat.example",)).check_http()
    HttpConfig(cors=("*", "https://chat.example")).check_http()
