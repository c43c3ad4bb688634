"""What is said beside stories: a few things that people say, with one answer each, and an answer to all the rest."""

from __future__ import annotations

import random
from dataclasses import dataclass

from cluster.demo.lexicon import DOMAINS


@dataclass(frozen=True, slots=True)
class Topic:
    """Any of ``phrases``, whatever its case and its end, gets ``answer``."""

    phrases: tuple[str, ...]
    answer: str


TOPICS: dict[str, Topic] = {
    "hello": Topic(
        ("hello", "hi", "hey", "hi there", "hello there", "good morning", "good evening", "good day"),
        "Hello! I tell short stories. Ask me for one about a fox, or about a girl named Rosa.",
    ),
    "who": Topic(
        (
            *("who are you", "what are you", "what is your name", "tell me about yourself", "are you a robot"),
            *("which model are you", "who made you", "are you human", "what model is this"),
        ),
        "I am a very small model that tells stories. I come with ggml-cluster, so that a cluster can be tried.",
    ),
    "can": Topic(
        (
            *("what can you do", "help", "how does this work", "what do you know", "what should I ask"),
            *("what can I ask you", "can you help me", "what can you tell me"),
        ),
        "I can tell you a story. Name a hero, an animal, a thing or a mood, and then ask me to change it.",
    ),
    "how": Topic(
        ("how are you", "how do you do", "how is it going", "are you well", "how are you today"),
        "I am well, thank you. Would you like to hear a story?",
    ),
    "thanks": Topic(
        (
            *("thank you", "thanks", "thank you very much", "thanks a lot", "thank you so much", "many thanks"),
            "ok, thanks",
        ),
        "You are welcome! Would you like another story?",
    ),
    "praise": Topic(
        (
            *("I like it", "that was nice", "what a nice story", "great story", "I love it", "that is a good story"),
            *("very good", "well done", "nice", "good", "great"),
        ),
        "I am glad that you like it! Shall I change something, or tell another one?",
    ),
    "bye": Topic(
        ("bye", "goodbye", "good night", "see you", "bye bye", "see you tomorrow", "that is all"),
        "Goodbye! Come back when you want to hear a story.",
    ),
}
UNKNOWN_STORY = (
    "I have no such thing in my stories. I know animals like a fox, a frog or an owl, and things like a kite, a drum "
    "or a lantern."
)
ANYTHING_ELSE = "I only know how to tell stories. Ask me for one, for example about a fox named Rosa."

SYSTEM_PROMPTS = (
    *("You are a helpful assistant.", "You are a helpful assistant.", "You tell stories for children."),
    *("You are a storyteller.", "Be brief.", "You are a friendly assistant.", "Answer in English."),
)
_ENDS = ("", "", ".", "!", "?")
_QUESTIONS = (
    *("What is the {} of {}?", "what is {}", "How many {} has a {}?", "Explain {} to me.", "Write a {} for {}."),
    *("Why is the {} so {}?", "Translate {} into {}.", "Who was {}?", "Is {} a {}?", "Solve {} for {}"),
    *("{}", "{} {} {}"),
    *("Can you write {} in {}?", "Give me a list of {}.", "Where is {}?", "How do I {} a {}?", "Summarize the {}."),
)
_WORDS = (
    *("capital", "France", "weather", "number", "code", "Python", "function", "price", "water", "moon", "list", "poem"),
    *("email", "sum", "computer", "president", "city", "music", "history", "science", "movie", "car", "phone"),
    "recipe",
    *("world", "time", "money", "job", "plan", "text", "error", "file", "Paris", "Germany", "planet", "doctor", "two"),
    *("network", "language", "sentence", "word", "year", "day", "country", "game", "school", "sky", "blue", "war"),
    *("dragon", "dinosaur", "unicorn", "robot", "princess", "pirate", "spaceship", "wizard", "lion", "elephant", "cat"),
    *("dog", "tiger", "whale", "sword", "train", "knight", "king", "queen", "monster", "monkey", "horse", "snake"),
)
_LETTERS = "eeeeaaaiiooouunnrrttsslldhcmpbfgkwvyzjxq"


def _known() -> frozenset[str]:
    return frozenset(value for role in ("kind", "hero", "thing", "friend", "mood") for value in DOMAINS[role])


def unknown_word(rng: random.Random) -> str:
    """A word that no story has: one of a list, or letters in any order."""
    while True:
        if rng.random() < 0.4:
            return rng.choice(_WORDS)
        word = "".join(rng.choice(_LETTERS) for _ in range(rng.randint(2, 9)))
        if word not in _known():
            return word.capitalize() if rng.random() < 0.3 else word


def unknown_question(rng: random.Random) -> str:
    """Something that is no request for a story."""
    form = rng.choice(_QUESTIONS)
    return form.format(*(unknown_word(rng) for _ in range(form.count("{}"))))


def phrase(topic: Topic, rng: random.Random) -> str:
    """One of the topic's phrases as somebody would type it."""
    text = rng.choice(topic.phrases)
    return (text[0].upper() + text[1:] if rng.random() < 0.6 else text) + rng.choice(_ENDS)


def system_prompt(rng: random.Random) -> str:
    """A system prompt; stories do not depend on it, so some are about anything."""
    if rng.random() < 0.7:
        return rng.choice(SYSTEM_PROMPTS)
    return " ".join(unknown_question(rng) for _ in range(rng.randint(1, 4)))
