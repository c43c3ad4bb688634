"""The hero frees somebody from a trap with a tool."""

from __future__ import annotations

from cluster.demo.plots.shared import FRIENDS, Step

RESCUE: tuple[Step, ...] = (
    (
        "{time} {he} was walking to {place}.",
        "{time} {hero} went to {place} to pick flowers.",
        "{time} {he} went for a walk {place.at}.",
    ),
    (
        "Suddenly {he} heard someone call for help.",
        '"Help me, please!" called a voice.',
        "Then {he} heard someone crying.",
    ),
    (
        "It was {friend_kind.a} named {friend}, who was {trap}.",
        "{hero} saw that {friend_kind.a} named {friend} was {trap}.",
        "There was a {friend_trait} {friend_kind} named {friend}, {trap}.",
    ),
    (
        '"How did this happen?" asked {hero}.',
        '"Do not be afraid, I will help you," said {hero}.',
        "{hero} wanted to help, but {he} could not do it alone.",
    ),
    (
        "{He} ran home and asked {his} {elder} for a {tool}.",
        "{He} looked around and found a {tool} {other_spot}.",
        "{hero} ran as fast as {he} could to get a {tool}.",
    ),
    (
        "Then {he} came back with the {tool}.",
        "The {tool} was heavy, but {hero} did not give up.",
        "With the {tool} in {his} arms, {he} hurried back to {friend}.",
    ),
    (
        "{He} held out the {tool}, and {friend} grabbed it.",
        '"Hold on to the {tool}!" said {hero}.',
        "{friend} took one end of the {tool}, and {hero} pulled.",
    ),
    (
        "{hero} pulled and pulled until {friend} was free.",
        "With one big pull, {friend} was free.",
        "At last {friend} was safe, and {friend.he} took a deep breath.",
    ),
    (
        '"You saved me, {hero}!" said {friend}.',
        "{friend} thanked {him} and gave {him} {look.a} {thing}.",
        "{friend} hugged {him} and laughed.",
    ),
    (
        "Everyone was {glad} when {he} told the story.",
        "{hero} felt {glad} all the way home.",
        "",
    ),
    (
        *FRIENDS,
        "{hero} kept the {tool} by the door, in case someone needed help again.",
    ),
)
