"""The words of the story grammar: one tuple of values per role, and tables that inflect them.

A *role* is a part in a story (the hero, the lost thing); a *form* is how its value appears in a sentence
(the pronoun of the hero, the thing with its article). No list is longer than 25, so that the common sampler
default of the 40 likeliest tokens never forbids a word that the grammar allows.
"""

from __future__ import annotations

GIRLS = ("Lily", "Mia", "Anna", "Rosa", "Ella", "Nora", "Ivy", "Zoe", "Hana", "Maya")
BOYS = ("Tom", "Ben", "Max", "Sam", "Leo", "Finn", "Noah", "Omar", "Kofi", "Ravi")
SHE_FRIENDS = ("Dot", "Bella", "Hazel", "Willow", "Penny", "Tilly", "Pearl", "Coco")
HE_FRIENDS = ("Pip", "Rusty", "Buddy", "Toby", "Otto", "Felix", "Bruno", "Gus")
_TRAITS = (
    *("little", "small", "kind", "curious", "brave", "cheerful", "quiet", "clever", "gentle", "young"),
    "playful",
)
_SPOTS = (
    *("under a bench", "behind a big rock", "in the tall grass", "near the old well", "beside a fallen log"),
    *("under the bridge", "behind the barn", "inside a hollow tree", "on top of a wall"),
    "next to a mushroom",
    *("between two stones", "among the flowers", "in a pile of leaves", "by the gate", "under a thorny bush"),
    "on a low branch",
)
ANIMALS = (
    *("fox", "rabbit", "bear", "mouse", "kitten", "puppy", "lamb", "pony", "duck", "hedgehog"),
    *("squirrel", "frog", "owl", "mole", "badger", "otter", "turtle", "panda", "goat", "beaver"),
)

DOMAINS: dict[str, tuple[str, ...]] = {
    "mood": ("happy", "sad", "funny", "scary"),
    "opening": (
        *("Once upon a time,", "Long ago,", "Not so long ago,", "Far, far away,"),
        *("In a land of green hills,", "Many summers ago,"),
    ),
    "trait": _TRAITS,
    "friend_trait": _TRAITS,
    "kind": ("girl", "boy", *ANIMALS),
    "hero": (*GIRLS, *BOYS),
    "friend_kind": ANIMALS,
    "friend": (*SHE_FRIENDS, *HE_FRIENDS),
    "home": (
        *("in a small house by the sea", "in a cottage near the woods", "in a village by a mill"),
        *("in a tall tower", "in a cozy burrow", "at the edge of the woods", "on a busy street"),
        *("near a little stream", "in a town with a clock", "under a great oak tree"),
    ),
    "hobby": ("sing", "dance", "read", "draw", "pick flowers", "count the stars", "listen to the birds"),
    "other_hobby": ("run", "bake", "climb trees", "watch the clouds", "play games", "tell jokes", "jump in puddles"),
    "elder": ("mother", "father", "grandma", "grandpa"),
    "look": (
        *("red", "blue", "yellow", "purple", "orange", "white", "pink", "golden", "silver", "shiny"),
        *("striped", "spotted"),
    ),
    "thing": (
        *("kite", "ball", "hat", "scarf", "drum", "lantern", "book", "bell", "boat", "whistle"),
        *("basket", "doll", "mitten", "flute", "spoon", "key", "ring", "button", "blanket", "puppet"),
    ),
    "time": (
        *("One sunny morning,", "One windy afternoon,", "One warm evening,", "On a rainy day,"),
        *("One cold morning,", "Early one day,", "One quiet evening,", "After breakfast one day,"),
    ),
    "place": (
        *("the park", "the forest", "the beach", "the meadow", "the farm", "the river", "the market"),
        *("the garden", "the lake", "the hill", "the orchard", "the harbor", "the pond", "the castle"),
    ),
    "sad": ("sad", "upset", "worried", "unhappy", "lonely"),
    "glad": ("happy", "glad", "proud", "joyful", "delighted"),
    "spot": _SPOTS,
    "other_spot": _SPOTS,
    "roadside": (
        *("near the old well", "by the gate", "beside a fallen log"),
        *("on the muddy path", "next to a big rock"),
        *("at the foot of a tree", "under the bridge"),
    ),
    "junk": (
        *("a feather", "an old shoe", "some leaves", "a snail", "a pine cone", "a few pebbles"),
        *("a sleepy beetle", "a broken cup", "an empty nest", "a rusty nail"),
    ),
    "food": (
        *("bread", "cheese", "cake", "pie", "soup", "honey", "berries", "nuts", "plums", "carrots"),
        *("cookies", "pancakes"),
    ),
    "fear": (
        *("the dark", "thunder", "deep water", "high places"),
        *("big dogs", "loud noises", "spiders", "the wind"),
    ),
    "trap": (
        *("stuck in the mud", "caught in a net", "trapped in a deep hole", "stuck on a high ledge"),
        *("caught in a thorny hedge", "stuck in the middle of the ice"),
    ),
    "tool": ("rope", "ladder", "stick", "plank", "shovel", "pole"),
    "flower": (
        *("sunflower", "rose", "tulip", "daisy", "violet", "pumpkin", "bean plant", "apple tree"),
        "cherry tree",
    ),
    "wait": ("For many days", "For two weeks", "For a long time", "For three weeks", "All spring"),
}

PRONOUNS: dict[str, tuple[str, str]] = {
    "he": ("she", "he"),
    "He": ("She", "He"),
    "him": ("her", "him"),
    "his": ("her", "his"),
    "His": ("Her", "His"),
}

PLACE_AT: dict[str, str] = {
    place: f"{preposition} {place}"
    for preposition, places in {
        "in": ("the park", "the forest", "the meadow", "the garden", "the orchard"),
        "at": ("the beach", "the farm", "the market", "the harbor", "the castle"),
        "by": ("the river", "the lake", "the pond"),
        "on": ("the hill",),
    }.items()
    for place in places
}

FEAR_DEED: dict[str, str] = {
    "the dark": "walked through the dark cave",
    "thunder": "listened to the storm",
    "deep water": "swam across the pool",
    "high places": "climbed to the top of the tower",
    "big dogs": "petted the biggest dog in town",
    "loud noises": "banged the loudest drum in town",
    "spiders": "said hello to the biggest spider",
    "the wind": "stood still in the great storm",
}

MOOD_MORE: dict[str, str] = {"happy": "happier", "sad": "sadder", "funny": "funnier", "scary": "scarier"}
