"""The hero makes a birthday present for a friend."""

from __future__ import annotations

from cluster.demo.plots.shared import Step

BIRTHDAY: tuple[Step, ...] = (
    (
        "{His} best friend was {friend_kind.a} named {friend}.",
        "{He} had a friend named {friend}, a {friend_trait} {friend_kind}.",
    ),
    (
        "{time} {hero} remembered that it was the birthday of {friend}.",
        '{time} {hero} said, "Today is the birthday of {friend}!"',
        "Soon it would be the birthday of {friend}.",
    ),
    (
        "{hero} had no money, so {he} felt {sad}.",
        '"What can I give to {friend}?" {he} asked.',
        "{He} wanted to give {friend} a very good present.",
    ),
    (
        '"I can make a present," said {hero}.',
        "Then {he} had a good idea.",
        "{He} thought and thought, and then {he} smiled.",
    ),
    (
        "{hero} worked all day and made {look.a} {thing}.",
        "With some help from {his} {elder}, {he} made {look.a} {thing}.",
        "{He} went to {place} and traded some {food} for {look.a} {thing}.",
    ),
    (
        "{He} put the {thing} in a box with a ribbon.",
        "{hero} hid the {thing} {spot}.",
        "The {thing} was not perfect, but it was made with love.",
    ),
    (
        "Then {he} baked some {food} for the party.",
        "{friend} had a party with music and {food}.",
        "All the animals came to the party and brought {food}.",
    ),
    (
        '"Happy birthday, {friend}!" said {hero}.',
        "{hero} gave the present to {friend}.",
        '"This is for you," {he} said to {friend}.',
    ),
    (
        "{friend} opened the box and saw the {thing}.",
        "When {friend} saw the {thing}, {friend.he} gasped.",
        "{friend} held the {thing} up high.",
    ),
    (
        '"It is the best {thing} in the world!" said {friend}.',
        '"I have always wanted a {thing}," said {friend}.',
        "{friend} was so {glad} that {friend.he} hugged {hero}.",
    ),
    (
        "They ate the {food} and danced all night.",
        "{friend} kept the {thing} forever.",
        "{hero} learned that the best presents come from the heart.",
    ),
)
