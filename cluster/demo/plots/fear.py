"""The hero is afraid of something and, with a friend, does it."""

from __future__ import annotations

from cluster.demo.plots.shared import Step

FEAR: tuple[Step, ...] = (
    (
        "But {hero} was afraid of {fear}.",
        "There was only one thing that scared {him}, and that was {fear}.",
        "But {he} had a secret, because {he} was afraid of {fear}.",
    ),
    (
        "When {he} thought of {fear}, {his} knees began to shake.",
        "{He} did not tell anyone, not even {his} {elder}.",
        "{hero} wished that {he} could be brave.",
    ),
    (
        "{time} {he} met a {friend_trait} {friend_kind} named {friend} {place.at}.",
        "{time} a {friend_trait} {friend_kind} named {friend} came to visit {him}.",
    ),
    (
        '"Why are you so {sad}?" asked {friend}.',
        '"What is wrong?" asked {friend}.',
        "{friend} saw that {hero} was {sad}.",
    ),
    (
        '"I am afraid of {fear}," said {hero}.',
        "{hero} told {friend} that {he} was afraid of {fear}.",
        '"I do not like {fear}," {he} said in a small voice.',
    ),
    (
        '"I was afraid of {fear} too," said {friend}.',
        "{friend} did not laugh at {him}.",
        '"Everyone is afraid of something," said {friend}.',
    ),
    (
        '"Take my hand, and we will try together," said {friend}.',
        '"I will stay with you," said {friend}.',
        "{friend} gave {him} {look.a} {thing} to hold for luck.",
    ),
    (
        "{hero} took a deep breath and {fear.deed}.",
        "{He} closed {his} eyes, counted to three, and {fear.deed}.",
        "Step by step, {he} was less afraid, and then {he} {fear.deed}.",
    ),
    (
        '"I did it!" said {hero}.',
        '"You did it!" said {friend}.',
        "{friend} clapped {friend.his} hands.",
    ),
    (
        "{He} was {glad}, and {fear} did not seem so bad.",
        "{hero} ran home and told everyone about it.",
        "",
    ),
    (
        "From that day on, {hero} was not afraid of {fear}.",
        "After that, {fear} never scared {him} again.",
        "{hero} learned that it is easier to be brave with a friend.",
    ),
)
