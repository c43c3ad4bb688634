"""Story skeletons: each plot is a sequence of steps, each step a choice of sentence templates.

``{role}`` stands for the value of a role, ``{role.form}`` for an inflected form of it; the bare pronouns
``{he}``, ``{him}``, ``{his}`` (and capitals) belong to the hero, ``{friend.his}`` and so on to the friend. A
role keeps its value from its first mention to the end of the story. An empty template leaves its step out.
"""

from __future__ import annotations

from cluster.demo.plots.birthday import BIRTHDAY
from cluster.demo.plots.fear import FEAR
from cluster.demo.plots.garden import GARDEN
from cluster.demo.plots.lost import LOST
from cluster.demo.plots.moods import MOODS
from cluster.demo.plots.race import RACE
from cluster.demo.plots.rescue import RESCUE
from cluster.demo.plots.shared import INTRO, Step
from cluster.demo.plots.sharing import SHARING
from cluster.demo.plots.shy import SHY
from cluster.demo.plots.truth import TRUTH

PLOTS: dict[str, tuple[Step, ...]] = {
    "lost": LOST,
    "sharing": SHARING,
    "shy": SHY,
    "fear": FEAR,
    "rescue": RESCUE,
    "race": RACE,
    "birthday": BIRTHDAY,
    "garden": GARDEN,
    "truth": TRUTH,
}


def steps_of(plot: str, mood: str) -> tuple[Step, ...]:
    """All steps of a story; ``mood`` is one of MOODS or "" for a story without one."""
    if not mood:
        return INTRO + PLOTS[plot]
    first, last = MOODS[mood]
    return (*INTRO, first, *PLOTS[plot], last)
