"""The hero invites a shy newcomer to play."""

from __future__ import annotations

from cluster.demo.plots.shared import FRIENDS, Step

SHY: tuple[Step, ...] = (
    (
        "{time} {he} went to {place} to play with {his} {look} {thing}.",
        "{time} {hero} took {his} {look} {thing} to {place}.",
        "{time} {he} was playing {place.at} with {look.a} {thing}.",
    ),
    (
        "There {he} saw {friend_kind.a} sitting alone {spot}.",
        "A shy {friend_kind} was sitting all alone {spot}.",
        "{He} saw a shy {friend_kind} who was hiding {spot}.",
    ),
    (
        '"What is your name?" asked {hero}.',
        '"Hello, I am {hero}, who are you?" {he} said.',
        "{hero} walked over and said hello.",
    ),
    (
        '"I am {friend}," said a small voice.',
        '"My name is {friend}," was the answer.',
        '"They call me {friend}," said a small voice.',
    ),
    (
        '"I have no one to play with," said {friend}.',
        "{friend} said that {friend.he} was new and felt {sad}.",
        "{friend} looked at the {thing}, but {friend.he} was too shy to ask.",
    ),
    (
        '"You can play with me and my {thing}," said {hero}.',
        "{hero} held out the {thing} and smiled.",
        "{He} gave the {thing} to {friend} and said that they could take turns.",
    ),
    (
        "They played with the {thing} until the sun went down.",
        "They laughed and played with the {thing} all day.",
        "{friend} began to laugh, and soon {friend.he} was not shy at all.",
    ),
    (
        "Then {his} {elder} brought some {food} for both of them.",
        "Before they went home, they shared some {food}.",
        "",
    ),
    (
        '"Will you come back tomorrow?" asked {friend}.',
        '"Today was the best day," said {friend}.',
        "{friend} was so {glad} that {friend.he} jumped up and down.",
    ),
    (
        '"Yes, I will bring the {thing} again," said {hero}.',
        "{hero} promised to come back with the {thing}.",
        '"I will see you tomorrow, {friend}," said {hero}.',
    ),
    FRIENDS,
)
