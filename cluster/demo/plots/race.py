"""The hero gives up a race to help a friend who fell."""

from __future__ import annotations

from cluster.demo.plots.shared import Step

RACE: tuple[Step, ...] = (
    (
        "{His} best friend was {friend_kind.a} named {friend}.",
        "{He} had a friend named {friend}, a {friend_trait} {friend_kind}.",
    ),
    (
        '{time} {friend} said, "Let us race to {place}!"',
        "{time} there was a big race to {place}.",
        "{time} the two friends decided to race to {place}.",
    ),
    (
        "The winner would get {look.a} {thing}.",
        "{hero} wanted to win {look.a} {thing}.",
        "The prize was {look.a} {thing}.",
    ),
    (
        '"One, two, three, go!" called {his} {elder}.',
        "They stood side by side, and then they ran.",
        "A bell rang, and the race began.",
    ),
    (
        "{hero} ran fast, but {friend} ran faster.",
        "At first {friend} was far ahead.",
        "Soon {friend} was in front, and {hero} was behind.",
    ),
    (
        "Then {friend} fell and hurt {friend.his} leg {roadside}.",
        "But {friend} slipped and fell {roadside}.",
        "Suddenly {hero} saw {friend} lying {roadside}.",
    ),
    (
        "{hero} could have won, but {he} stopped.",
        "{He} did not think about the {thing} at all and stopped.",
        "{hero} stopped at once and ran to help.",
    ),
    (
        '"Are you hurt, {friend}?" asked {hero}.',
        '"I will help you up," said {hero}.',
        "{He} helped {friend} to stand up.",
    ),
    (
        '"But you will not win the {thing}," said {friend}.',
        '"You are a true friend," said {friend}.',
        "{friend} smiled and dried {friend.his} tears.",
    ),
    (
        "Arm in arm, they walked to the end of the road.",
        "They walked the rest of the way together.",
        "They came in last, but everyone cheered.",
    ),
    (
        "Both of them were given the {thing}.",
        "In the end they shared the {thing}.",
        "Everyone said that {hero} and {friend} had earned the {thing}.",
    ),
    (
        "{hero} was {glad}, for a friend is better than a {thing}.",
        "{hero} and {friend} were {glad} and took turns with the {thing}.",
        "{hero} and {friend} walked home together under the stars.",
    ),
)
