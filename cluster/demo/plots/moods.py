"""What makes a story happy, sad, funny or scary: one sentence after the introduction and one at the very end."""

from __future__ import annotations

from cluster.demo.plots.shared import Step

MOODS: dict[str, tuple[Step, Step]] = {
    "happy": (
        (
            "{hero} woke up with a smile every morning.",
            "Wherever {he} went, {he} hummed a merry song.",
            "{He} laughed more than anyone else {he} knew.",
        ),
        (
            "And all of them laughed and sang until bedtime.",
            "It was the happiest day of the whole year.",
            "{hero} went to bed with a big smile.",
        ),
    ),
    "sad": (
        (
            "But {hero} often cried at night.",
            "But a tear was never far from {his} eyes.",
            "But most of the time {he} felt all alone.",
        ),
        (
            "But that night {hero} cried again, and no one heard it.",
            "Then the rain came, and a last tear ran down {his} face.",
            "But in the end {he} was all alone again.",
        ),
    ),
    "funny": (
        (
            "{hero} always wore a soup pot on {his} head.",
            "{He} always walked backwards and fell into every puddle.",
            "{He} had a very loud sneeze that made the chickens fly.",
        ),
        (
            "Then {hero} sneezed, and everyone fell over and laughed.",
            "And then {he} slipped on a banana and landed in a cake.",
            "Everyone laughed so hard that the chickens flew away.",
        ),
    ),
    "scary": (
        (
            "But at night a dark shadow crept around the house.",
            "But people said that a ghost lived near {his} home.",
            "But every night {he} heard strange steps at the door.",
        ),
        (
            "That night something scratched at the door, and {hero} held {his} breath.",
            "And in the dark behind {him}, two red eyes opened.",
            "Then the candle went out, and a cold voice whispered {his} name.",
        ),
    ),
}
