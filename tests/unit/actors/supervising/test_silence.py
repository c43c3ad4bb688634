"""Whoever does not answer is given time, and a standstill of our own is not held against others."""

from __future__ import annotations

from cluster.actors.supervising.silence import HUNG_S, MOST_COUNTED_S, Silence


def test_it_takes_a_while() -> None:
    silence = Silence()
    looks = [at / 2 for at in range(2 * int(HUNG_S) + 1)]
    assert [silence.go_on(100.0 + at_s) for at_s in looks].index(True) == len(looks) - 1


def test_an_answer_ends_it() -> None:
    silence = Silence()
    for at in range(int(HUNG_S)):
        assert not silence.go_on(at)
    silence.end()
    assert not silence.go_on(HUNG_S)
    assert silence.length_s == 0.0


def test_whoever_stood_still_counts_what_it_saw() -> None:
    silence = Silence()
    silence.go_on(0.0)
    assert not silence.go_on(3600.0)
    assert silence.length_s == MOST_COUNTED_S
