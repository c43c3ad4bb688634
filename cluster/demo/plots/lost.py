"""The hero loses a thing, and a stranger helps to find it."""

from __future__ import annotations

from cluster.demo.plots.shared import FRIENDS, MEET, Step

LOST: tuple[Step, ...] = (
    (
        "{He} had {look.a} {thing} from {his} {elder}.",
        "More than anything, {he} loved {his} {look} {thing}.",
        "{His} {elder} had given {him} {look.a} {thing}.",
        "{He} never went anywhere without {his} {look} {thing}.",
    ),
    (
        "{time} {he} took the {thing} to {place}.",
        "{time} {hero} went to {place} with the {thing}.",
        "{time} {he} carried the {thing} all the way to {place}.",
    ),
    (
        "But when it was time to go home, the {thing} was gone.",
        "Then {he} looked around, and the {thing} was gone.",
        "After a while, {hero} saw that the {thing} was missing.",
        "{He} played so long that {he} forgot where {he} had left the {thing}.",
    ),
    (
        "{hero} felt very {sad}.",
        "{He} sat down and began to cry.",
        "{His} eyes filled with tears.",
        "{He} was so {sad} that {he} could not speak.",
    ),
    MEET,
    (
        '"Why are you so {sad}?" asked {friend}.',
        '"What is wrong?" asked {friend}.',
        "{friend} asked {him} what was wrong.",
    ),
    (
        '"I have lost my {thing}," said {hero}.',
        "{hero} told {friend} about the lost {thing}.",
        '"My {thing} is gone," {he} said.',
    ),
    (
        '"Do not worry, I will help you," said {friend}.',
        '"Let us look for it together," said {friend}.',
        "{friend} promised to help {him} find it.",
    ),
    (
        "They looked {spot}, but the {thing} was not there.",
        "First they looked {spot}, but they found only {junk}.",
        "They looked {spot} and found {junk}, but no {thing}.",
    ),
    (
        "Then {friend} looked {other_spot}, and there was the {thing}!",
        "At last {hero} found the {thing} {other_spot}.",
        "Then they looked {other_spot}, and there it was, the {thing}!",
    ),
    (
        "{hero} hugged {friend} and said thank you.",
        '"Thank you, {friend}!" said {hero}.',
        "{He} was so {glad} that {he} danced with {friend}.",
    ),
    (
        *FRIENDS,
        "That night, {hero} slept with the {thing} beside {him}.",
        "After that, {hero} always took good care of the {thing}.",
    ),
)
