"""A plan as a file: what `cluster plan -o json` writes and `cluster up --plan` follows, or refuses."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cluster.api.errors import UsageError
from cluster.config import MAX_STAGES
from cluster.planning.nodes import THIS_NODE, Nodes, ThisMachine
from cluster.planning.report import PlanReport
from cluster.sources.opening import open_model
from cluster.sources.resolve import resolve
from cluster.split import format_layers

FORMAT = "ggml-cluster plan 1"
MAX_FILE_BYTES = 1 << 20
_SETTINGS: dict[str, type | tuple[type, ...]] = {
    "model": str,
    "headroom": (int, float),
    "ctx_size": int,
    "parallel": int,
    "ubatch_size": int,
    "cache_type_k": str,
    "cache_type_v": str,
    "flash_attn": str,
}
_STAGE_FIELDS: dict[str, type] = {
    "node": str,
    "device": str,
    "device_description": str,
    "first": int,
    "end": int,
    "num_threads": int,
}
# Settings take smaller numbers for "choose": a plan has chosen.
_LEAST = {"parallel": 1, "ctx_size": 1, "num_threads": 1}


def to_json(report: PlanReport) -> str:
    """The plan as one JSON object."""
    return json.dumps({"format": FORMAT, **asdict(report)}, indent=1)


def checked_settings(
    path: str, given: dict[str, Any], nodes: Nodes | None = None, *, are_nodes_there: bool = True
) -> dict[str, Any]:
    """The settings of the plan at `path`, with what is `given` beside it (None: not given).

    `nodes`: those that the plan may name, by default this machine alone; `are_nodes_there`: False while they are still
    to join, so that whoever waits for them calls `check_nodes` then.

    UsageError if the file is no plan, if a given setting says otherwise than the plan, or if the model, the nodes or
    the devices are not those that the plan was made for.
    """
    plan = _read(path)
    settings = {name: plan[name] for name in _SETTINGS}
    stages: list[dict[str, Any]] = plan["stages"]
    settings["layers"] = _layers(path, stages)
    if plan.get("rounding"):  # whoever made it has allowed that
        settings["allow_rounding"] = True
    settings["devices"] = tuple(_device(stage) for stage in stages)
    threads = {stage["num_threads"] for stage in stages}
    settings["threads"] = threads.pop() if len(threads) == 1 else None  # else as many as each node has, as planned
    _check_given(path, settings, given)
    _check_model(path, plan)
    if are_nodes_there:
        _check_devices(path, stages, nodes or ThisMachine())
    return {**given, **settings}


def check_nodes(path: str, nodes: Nodes) -> None:
    """UsageError if the nodes or the devices are not those that the plan at `path` was made for, or it is no plan."""
    _check_devices(path, _read(path)["stages"], nodes)


def _device(stage: dict[str, Any]) -> str:
    """As ``--devices`` takes it."""
    return str(stage["device"]) if stage["node"] == THIS_NODE else f"{stage['node']}:{stage['device']}"


def _read(path: str) -> dict[str, Any]:
    try:
        file = Path(path)
        if file.stat().st_size > MAX_FILE_BYTES or not file.is_file():
            raise _unsound(path, "not a regular file of a plan's size")
        plan = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}; write a plan with: cluster plan -o json") from error
    except (ValueError, RecursionError) as error:
        raise _unsound(path, "it is not JSON") from error
    if not isinstance(plan, dict) or plan.get("format") != FORMAT:
        raise _unsound(path, f"it does not say {FORMAT!r}")
    _check_fields(path, "", plan, {**_SETTINGS, "model_hash": str, "stages": list})
    if not 1 <= len(plan["stages"]) <= MAX_STAGES:
        raise _unsound(path, f"stages: {len(plan['stages'])}, must be 1 to {MAX_STAGES}")
    for number, stage in enumerate(plan["stages"]):
        if not isinstance(stage, dict):
            raise _unsound(path, f"stages[{number}]: not an object")
        _check_fields(path, f"stages[{number}].", stage, _STAGE_FIELDS)
    return plan


def _check_fields(path: str, where: str, found: dict[str, Any], wanted: dict[str, Any]) -> None:
    for name, kind in wanted.items():
        if name not in found:
            raise _unsound(path, f"{where}{name}: missing")
        value = found[name]
        if not isinstance(value, kind) or isinstance(value, bool):
            raise _unsound(path, f"{where}{name}: {ascii(value)[:60]} is of the wrong type")
        if name in _LEAST and value < _LEAST[name]:
            raise _unsound(path, f"{where}{name}: {value} is below {_LEAST[name]}")


def _layers(path: str, stages: list[dict[str, Any]]) -> str:
    expected = 0
    for number, stage in enumerate(stages):
        if stage["first"] != expected or not expected < stage["end"] < 2**20:
            raise _unsound(
                path, f"stages[{number}]: layers [{stage['first']}, {stage['end']}) must begin at {expected}"
            )
        expected = stage["end"]
    return format_layers(tuple((stage["first"], stage["end"]) for stage in stages))


def _check_given(path: str, settings: dict[str, Any], given: dict[str, Any]) -> None:
    settled = {**settings, "stages": len(settings["devices"]), "tensor_split": None}
    for name, value in given.items():
        same = name != "model" or value is None or Path(value).expanduser().absolute() == Path(settings["model"])
        if value is not None and name in settled and not (same if name == "model" else value == settled[name]):
            flag = name.replace("_", "-")
            raise UsageError(f"{flag}: {value!a} is not what the plan {path} says; leave it out, or plan anew")


def _check_model(path: str, plan: dict[str, Any]) -> None:
    found = open_model(resolve(plan["model"])).hash
    if found != plan["model_hash"]:
        raise UsageError(
            f"{path}: made for another model: {plan['model']!a} has hash {found[:12]}, the plan says "
            f"{plan['model_hash'][:12]!a}; plan anew"
        )


def _check_devices(path: str, stages: list[dict[str, Any]], nodes: Nodes) -> None:
    there = {node.name: node for node in nodes.facts}
    for number, stage in enumerate(stages):
        name, device, description = stage["node"], stage["device"], stage["device_description"]
        if name not in there:
            known = f"only {', '.join(there)} {'is' if len(there) == 1 else 'are'} there"
            raise UsageError(f"{path}: stage {number} is on node {name!a}, {known}; plan anew")
        found = there[name].device(device)
        if found is None or found.description != description:
            where = "here" if name == THIS_NODE else f"on {name}"
            what = f"is {found.description!a} {where}" if found else "is not there"
            raise UsageError(
                f"{path}: made for other devices: stage {number}'s {device!a} ({description!a}) {what}; plan anew"
            )


def _unsound(path: str, why: str) -> UsageError:
    return UsageError(f"{path}: not a plan: {why}; write one with: cluster plan -o json")
