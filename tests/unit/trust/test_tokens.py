"""Tokens end, are used up, are revoked; who does not know the secret learns none of it."""

from __future__ import annotations

import stat
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.api.errors import CapacityError, ClusterError, UnauthenticatedError, UsageError
from cluster.trust.token_file import TOKENS, open_tokens
from cluster.trust.tokens import MAX_TOKENS, TokenStore

NOW_S = 1.8e9


def test_a_token_admits_as_many_machines_as_it_was_made_for() -> None:
    store = TokenStore()
    token_id, secret = store.create(60, 2, NOW_S)
    store.redeem(token_id, secret, "key 1", NOW_S)
    store.redeem(token_id, secret, "key 1", NOW_S)  # the same machine, whose answer was lost
    store.redeem(token_id, secret, "key 2", NOW_S)
    with pytest.raises(UnauthenticatedError, match="admitted the 2 machines"):
        store.redeem(token_id, secret, "key 3", NOW_S)
    assert store.list(NOW_S) == ()


def test_a_token_ends() -> None:
    store = TokenStore()
    token_id, secret = store.create(60, 1, NOW_S)
    store.check(token_id, secret, "key", NOW_S + 59)
    with pytest.raises(UnauthenticatedError, match="expired"):
        store.check(token_id, secret, "key", NOW_S + 60)


def test_who_does_not_know_the_secret_learns_nothing() -> None:
    store = TokenStore()
    token_id, secret = store.create(60, 1, NOW_S)
    said = set()
    for asked_id, asked_secret, at_s in (
        (token_id, "", NOW_S),
        (token_id, secret[:-1] + "é", NOW_S),
        (token_id, secret[:-1], NOW_S + 100),
        ("aaaaaa", secret, NOW_S),
        ("", "", NOW_S),
    ):
        with pytest.raises(UnauthenticatedError) as raised:
            store.check(asked_id, asked_secret, "key", at_s)
        said.add(str(raised.value))
    assert len(said) == 1


def test_a_revoked_token_is_gone() -> None:
    store = TokenStore()
    token_id, secret = store.create(60, 1, NOW_S)
    store.revoke(token_id)
    with pytest.raises(UnauthenticatedError, match="revoked"):
        store.redeem(token_id, secret, "key", NOW_S)
    with pytest.raises(UsageError, match="cluster token ls"):
        store.revoke(token_id)


def test_there_are_some_hundreds_at_most_and_ended_ones_make_room() -> None:
    store = TokenStore()
    for _ in range(MAX_TOKENS):
        store.create(60, 1, NOW_S)
    with pytest.raises(CapacityError, match="revoke"):
        store.create(60, 1, NOW_S)
    store.create(60, 1, NOW_S + 60)
    assert len(store.all) == 1


@pytest.mark.parametrize(("ttl_s", "uses"), [(0, 1), (float("nan"), 1), (float("inf"), 1), (60, 0), (60, 10**6)])
def test_bounds_of_a_token_are_named(ttl_s: float, uses: int) -> None:
    with pytest.raises(UsageError, match="token"):
        TokenStore().create(ttl_s, uses, NOW_S)


def test_the_file_keeps_no_secret_and_only_we_may_read_it(tmp_path: Path) -> None:
    with open_tokens(tmp_path) as store:
        token_id, secret = store.create(60, 1, NOW_S)
    path = tmp_path / TOKENS
    assert secret not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with open_tokens(tmp_path) as store:
        store.redeem(token_id, secret, "key", NOW_S)
    with open_tokens(tmp_path) as store, pytest.raises(UnauthenticatedError):
        store.redeem(token_id, secret, "other key", NOW_S)


def test_what_fails_in_the_block_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), open_tokens(tmp_path) as store:
        store.create(60, 1, NOW_S)
        raise RuntimeError
    assert not (tmp_path / TOKENS).exists()


def test_a_token_is_used_once_however_many_ask_at_the_same_time(tmp_path: Path) -> None:
    with open_tokens(tmp_path) as store:
        token_id, secret = store.create(60, 1, NOW_S)
    admitted = []

    def ask(number: int) -> None:
        try:
            with open_tokens(tmp_path) as store:
                store.redeem(token_id, secret, f"key {number}", NOW_S)
        except UnauthenticatedError:
            return
        admitted.append(number)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(admitted) == 1


@given(st.binary(max_size=200))
def test_a_damaged_file_is_one_error_that_names_it(content: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        path = Path(name, TOKENS)
        path.write_bytes(content)
        path.chmod(0o600)
        with pytest.raises(ClusterError, match=r"tokens\.json"), open_tokens(Path(name)):
            pass


def test_a_token_is_not_valid_in_more_ways_than_one() -> None:
    store = TokenStore()
    store.create(60, 1, NOW_S)
    (token,) = store.all
    assert token.is_valid(NOW_S)
    assert not replace(token, used_by=("key",)).is_valid(NOW_S)
    assert token.secret_hash not in repr(token)
