"""The hero shares food with a hungry stranger, who later shows the way home."""

from __future__ import annotations

from cluster.demo.plots.shared import FRIENDS, Step

SHARING: tuple[Step, ...] = (
    (
        "{time} {he} packed some {food} and walked to {place}.",
        "{time} {his} {elder} gave {him} some {food}, and {he} went to {place}.",
        "{time} {hero} sat {place.at} with some {food}.",
    ),
    (
        "There {he} met a hungry {friend_kind} named {friend}.",
        "A hungry {friend_kind} named {friend} was sitting {spot}.",
        "Soon a thin and hungry {friend_kind} named {friend} came along.",
    ),
    (
        '"I have not eaten all day," said {friend}.',
        '"May I have some of your {food}?" asked {friend}.',
        "{friend} looked at the {food} with big eyes.",
    ),
    (
        "{hero} was hungry too, but {he} gave {friend} half of the {food}.",
        '"You can have half of my {food}," said {hero}.',
        "{He} smiled and shared the {food} with {friend}.",
    ),
    (
        "They ate the {food} and talked until the sun went down.",
        "They sat side by side and ate every bit of the {food}.",
        "{friend} ate {friend.his} share and licked {friend.his} lips.",
    ),
    (
        "On the way home, {hero} got lost in the fog.",
        "Later it grew dark, and {hero} could not find the way home.",
        "Then a thick fog came, and {he} did not know where to go.",
    ),
    (
        '"I know the way, follow me," said {friend}.',
        "But {friend} knew every path and led {him} home.",
        "{friend} took {him} by the hand and showed {him} the way.",
    ),
    (
        "At the door, {hero} thanked {friend}.",
        "At home, everyone was {glad} to see them both.",
        '"Thank you, {friend}!" said {hero}.',
    ),
    (
        "{hero} learned that sharing makes good friends.",
        "{He} was {glad} that {he} had shared the {food}.",
        *FRIENDS,
    ),
)
