"""The hero breaks what was forbidden, and tells the truth."""

from __future__ import annotations

from cluster.demo.plots.shared import Step

TRUTH: tuple[Step, ...] = (
    (
        "{His} {elder} had {look.a} {thing} that no one could touch.",
        "At home there was {look.a} {thing} that belonged to {his} {elder}.",
        "{His} {elder} loved {look.a} {thing} more than anything.",
    ),
    (
        "{time} {he} took the {thing} and ran to {place}.",
        "{time} {hero} played with the {thing} in secret.",
        "{time} {he} wanted to show the {thing} to {his} friends.",
    ),
    (
        "But {he} fell, and the {thing} broke in two.",
        "Then there was a loud crack, and the {thing} was broken.",
        "But the {thing} slipped out of {his} hands and broke.",
    ),
    (
        "{hero} felt very {sad} and hid the {thing} {spot}.",
        "{He} was {sad} and hid the broken {thing} {spot}.",
        "{hero} ran away and hid {spot}.",
    ),
    (
        "There {he} met a {friend_trait} {friend_kind} named {friend}.",
        "A {friend_trait} {friend_kind} named {friend} had seen it all.",
    ),
    (
        '"You should tell the truth," said {friend}.',
        "{friend} told {him} that it is best to tell the truth.",
        '"If you are honest, you will feel better," said {friend}.',
    ),
    (
        "{hero} walked home slowly with the broken {thing}.",
        "So {hero} went back to {his} {elder}.",
        "{He} thanked {friend} and went home.",
    ),
    (
        '"I am sorry, I broke your {thing}," said {hero}.',
        "{He} told {his} {elder} about the broken {thing}.",
        '"I took the {thing}, and it broke," {he} said.',
    ),
    (
        "{His} {elder} was quiet, and then {elder.he} smiled.",
        '"Thank you for telling me," said {his} {elder}.',
        "{His} {elder} was not angry and hugged {him}.",
    ),
    (
        "Together they fixed the {thing} with glue and thread.",
        '"We can fix the {thing} together," {elder.he} said.',
        "They worked all evening until the {thing} was whole again.",
    ),
    (
        "{hero} was {glad} that {he} had told the truth.",
        "From that day on, {hero} always told the truth.",
        "{hero} never took the {thing} in secret again.",
    ),
)
