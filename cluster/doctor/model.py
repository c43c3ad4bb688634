"""The model file: is it sound, tokenizer and all, can it be cut, and is it still the one that the cluster serves."""

from __future__ import annotations

from cluster.api.errors import ClusterError
from cluster.api.status import ClusterStatus
from cluster.cutting.model import Model
from cluster.cutting.servable import Servable, cuts_of
from cluster.doctor.check import Check, fail, ok, warn
from cluster.planning.vocabulary import check_vocabulary
from cluster.sources.opening import open_model
from cluster.sources.resolve import resolve
from cluster.store.slices import SliceStore


def check_model(name: str, status: ClusterStatus | None) -> list[Check]:
    """`name`: as MODEL is given. `status`: of the cluster that is up and serves it."""
    try:
        source = resolve(name)
        opened = open_model(source)
    except ClusterError as error:
        return [fail("model", str(error), "fetch or convert it again")]
    sound = ok("model", f"{source.display_name}: sound, hash {opened.hash[:12]}")
    checks = [sound]
    if isinstance(opened.model, Model):
        checks.append(_tokenizer(opened.model, source.shown_name))
    checks.append(_cuts(opened.model))
    checks.append(_slices(opened.hash, is_up=status is not None))
    if status is not None:
        checks.append(_same(opened.hash, status.model_hash))
    return checks


def _tokenizer(model: Model, name: str) -> Check:
    try:
        check_vocabulary(model, name)
    except ClusterError as error:
        return fail("tokenizer", str(error), "convert the model again")
    return ok("tokenizer", "libllama can use it")


def _cuts(model: Servable) -> Check:
    cuts = cuts_of(model)
    if not cuts:
        return warn("cuts", "there is no place to cut it exactly", "serve it whole, with --stages 1")
    return ok("cuts", f"{len(cuts)} places")


def _slices(model_hash: str, is_up: bool) -> Check:
    """The stored slices of the model, every byte of them."""
    try:
        found = list(SliceStore().verify(model_hash))
    except OSError as error:
        return fail("stored slices", f"{error.filename or SliceStore().root}: {error.strerror}", "make it writable")
    damaged = [item.layers for item, is_sound in found if not is_sound]
    if damaged:
        advice = "run cluster down, then cluster up" if is_up else "run cluster up"
        return fail("stored slices", f"{', '.join(damaged)} not as written", f"{advice}, which cuts them again")
    return ok("stored slices", f"{len(found)}, all as they were written")


def _same(on_disk: str, served: str) -> Check:
    if on_disk == served:
        return ok("model hash", "the file is the one that the cluster serves")
    return fail(
        "model hash",
        f"the file has {on_disk[:12]}, the cluster serves {served[:12]}",
        "put that file back, or run cluster down, then cluster up",
    )
