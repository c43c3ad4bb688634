"""Steps that several plots have in common."""

from __future__ import annotations

Step = tuple[str, ...]

INTRO: tuple[Step, ...] = (
    (
        "{opening} there was a {trait} {kind} named {hero}.",
        "{opening} there lived a {trait} {kind} named {hero}.",
        "{opening} a {trait} {kind} named {hero} lived {home}.",
    ),
    (
        "{hero} loved to {hobby} and to {other_hobby}.",
        "Every day {he} liked to {hobby}.",
        "{He} loved to {hobby} all day long.",
        "",
    ),
)

MEET: Step = (
    "Just then, a {friend_trait} {friend_kind} named {friend} came by.",
    "A {friend_trait} {friend_kind} named {friend} saw {him} and stopped.",
    "Soon a {friend_trait} {friend_kind} named {friend} came along.",
)

FRIENDS: Step = (
    "From that day on, {hero} and {friend} were best friends.",
    "After that, {hero} and {friend} met every day to play.",
    "{hero} and {friend} walked home together under the stars.",
    "And so {hero} and {friend} became friends for life.",
)
