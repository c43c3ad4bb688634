"""The hero plants a seed and waits."""

from __future__ import annotations

from cluster.demo.plots.shared import Step

GARDEN: tuple[Step, ...] = (
    (
        "{time} {his} {elder} gave {him} a tiny seed.",
        "{time} {he} found a tiny seed {spot}.",
        "{time} {hero} bought a seed in a shop.",
    ),
    (
        '"One day this will be {flower.a}," {he} said.',
        '"I will grow {flower.a}," said {hero}.',
        "{hero} hoped that it would grow into {flower.a}.",
    ),
    (
        "{He} dug a hole {place.at} and put the seed inside.",
        "{He} planted the seed {place.at}.",
        "{hero} took the seed to {place} and planted it with care.",
    ),
    (
        "Every morning {he} brought water in {look.a} cup.",
        "{He} gave it water every day and sang to it.",
        "Every day {hero} came with water and looked at the ground.",
    ),
    (
        "{wait} nothing happened, and {hero} was {sad}.",
        "{wait} {he} saw only brown soil.",
        "{wait} {hero} waited and waited.",
    ),
    (
        "{friend_kind.A} named {friend} laughed at {him}.",
        '"Nothing will grow here," said {friend_kind.a} named {friend}.',
        "A {friend_trait} {friend_kind} named {friend} came to see.",
    ),
    (
        "But {hero} did not give up.",
        '"I will wait a little longer," said {hero}.',
        "{He} told {friend} that good things take time.",
    ),
    (
        "Then one morning there was a green leaf.",
        "At last a little green shoot came out of the ground.",
        "One morning {he} saw something small and green.",
    ),
    (
        "It grew and grew until it was a tall {flower}.",
        "Soon it was the biggest {flower} that {he} had ever seen.",
        "By summer it was a beautiful {flower}.",
    ),
    (
        '"I was wrong," said {friend}.',
        "{friend} looked at the {flower} and opened {friend.his} eyes wide.",
        '"What a beautiful {flower}!" said {friend}.',
    ),
    (
        "Everyone was {glad} and hugged {him}.",
        "{hero} was {glad} and danced around the {flower}.",
        "Everyone came to see the {flower}.",
    ),
    (
        "After that, {hero} and {friend} planted many more seeds.",
        "{hero} gave some of the new seeds to {friend}.",
        "{hero} learned that it is good to wait.",
    ),
)
