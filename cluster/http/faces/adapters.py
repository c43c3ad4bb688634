"""LoRA adapters as llama-server spells them: a list of objects, each with the id of one and its scale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cluster.api.lists import ADAPTER_ID, SCALE, AdapterScales, Scales
from cluster.api.model import AdapterInfo
from cluster.http.faces.fields import Fields, objects

LORA = "lora"


def lora_of(fields: Fields) -> Scales:
    """Those that a request asks for. As there, an empty list is as good as none."""
    return scales_of(fields.items(LORA), fields.name_of(LORA))


def scales_of(items: Sequence[Any], name: str) -> Scales:
    """UsageError, which names the item, for what is no id with a finite scale, or is there twice."""
    found: dict[int, float] = {}
    for item in objects(items, name):
        number = ADAPTER_ID.checked(item.name_of("id"), item.any("id"))
        assert isinstance(number, int), "it is a whole number"
        if number in found:
            raise item.wrong("id", f"{number} is there twice; give each adapter at most once")
        found[number] = SCALE.checked(item.name_of("scale"), item.any("scale")) or 0.0
    return AdapterScales().checked(name, found)


def told(scales: Scales) -> list[dict[str, Any]]:
    """The same as a list of objects."""
    return [{"id": number, "scale": scale} for number, scale in scales]


def adapter_object(number: int, adapter: AdapterInfo) -> dict[str, Any]:
    """Without its folder, which is nobody's business."""
    return {"id": number, "path": adapter.name, "scale": adapter.scale}
