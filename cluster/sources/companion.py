"""The mmproj file of a model on the hub, brought to this machine: mtmd reads files only."""

from __future__ import annotations

from cluster.api.errors import UsageError
from cluster.sources.name import HUB_PREFIX, HubName, is_remote_name, parse_hub_name

AUTO = "auto"  # the one beside the model


def local_projector(mmproj: str, model: str) -> str:
    """The path of what --mmproj names: a path is it; hf:org/repo[:file.gguf] is in the hub's cache then, and `auto` is
    what stands beside `model` in its repository.

    UsageError where there is none, or several that could be meant; UnreachableError.
    """
    if mmproj != AUTO and not is_remote_name(mmproj):
        return mmproj
    name = model if mmproj == AUTO else mmproj
    if not name.startswith(HUB_PREFIX):
        raise UsageError(f"mmproj: {name[:200]!a} is in no repository of the hub; give the file, or hf:org/repo")
    from cluster.sources import hub

    asked = parse_hub_name(name)
    # What follows the colon of a model's name says which model.
    choice = None if mmproj == AUTO else asked.choice
    return str(hub.projector_path(HubName(asked.repo, asked.revision, choice)))
