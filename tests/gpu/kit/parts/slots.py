"""What happens to sequences on the device: cut back, copied, forgotten and computed again."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from tests.gpu.kit.case import Case
from tests.gpu.kit.finding import Tell, judged
from tests.gpu.kit.settings import Settings

if TYPE_CHECKING:
    from tests.gpu.kit.launcher import Launched

NUM_TOKENS = 12
PROMPTS = (
    "Once upon a time",
    "Lily had a cat",
    "The old tree",
    "Tom was sad because",
    "One day, a bird",
    "Her mother said",
    "There was a big storm",
    "In the garden",
)


def cases(settings: Settings) -> list[Case]:
    kinds = ("dense",) if settings.is_tiny else ("dense", "sliding window", "recurrent")
    return [*(Case(kind, partial(_sequences, kind), 30.0) for kind in kinds), Case("replay", _replay, 60.0)]


def _sequences(kind: str, settings: Settings, tell: Tell) -> None:
    """The same rows behind a slot that was cut, and behind a copy of it, as behind one that never was touched."""
    from tests.gpu.kit.chain import Chain, compared, rows
    from tests.gpu.kit.models import architecture_model

    begin, wrong, end = list(range(10, 18)), [90, 91, 92], [30, 31, 32, 33]
    num = len(begin)
    with Chain(architecture_model(settings.scratch, kind), (), (settings.device,)) as chain:
        chain.compute([rows(0, 0, begin)])
        plain = chain.compute([rows(0, num, end)])
        chain.clear()
        again = chain.compute([rows(0, 0, begin), rows(0, num, end)])[num:]
        tell(compared("forgotten and computed again", again, plain))
        chain.clear()
        chain.compute([rows(0, 0, begin)])
        chain.prepare_slot(1, 0, num)
        copied = chain.compute([rows(1, num, end)])
        tell(compared("copied to another slot", copied, plain))
        chain.clear()
        can_truncate = all(part.can_truncate for part in chain.slices)
        chain.compute([rows(0, 0, begin), rows(0, num, wrong)])
        if can_truncate:
            chain.prepare_slot(0, 0, num)
            tell(compared("cut back", chain.compute([rows(0, num, end)]), plain))
            return
        try:
            chain.prepare_slot(0, 0, num)
        except ValueError as error:
            tell(judged("refuses to be cut back, as running states must", True, said=str(error)[:120]))
        else:
            tell(judged("refuses to be cut back, as running states must", False, "it was done"))


def _replay(settings: Settings, tell: Tell) -> None:
    """A cluster of two stages writes the same texts before and after all its sequences were lost."""
    from cluster.config import ClusterConfig
    from cluster.demo import model_path
    from tests.gpu.kit.launcher import launched

    config = ClusterConfig(str(model_path()), devices=(settings.device,) * 2, ctx_size=128, parallel=4)
    with launched(config) as cluster:
        stages = ", ".join(f"[{one.facts.first}, {one.facts.end}) on {one.facts.device}" for one in cluster.loaded)
        before = _texts(cluster)
        cluster.rewire()
        after = _texts(cluster)
    right = sum(one == other for one, other in zip(before, after, strict=True))
    tell(judged("the same texts in a new epoch", right == len(PROMPTS), equal=f"{right}/{len(PROMPTS)}", stages=stages))
    is_english = all(any(character.isalpha() for character in text) for text in before)
    tell(judged("texts are texts", is_english, repr(before[0]), first=PROMPTS[0] + before[0]))


def _texts(cluster: Launched) -> list[str]:
    from cluster.bench.request import GREEDY

    completions = cluster.client.generate(list(PROMPTS), GREEDY, max_tokens=NUM_TOKENS, progress=False)
    return [completion.text for completion in completions]
