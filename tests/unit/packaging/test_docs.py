"""The pages speak of the tree as it is: every file they name is there, and every room is on the map."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]
PAGES = [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
TOPS = {path.name for path in REPOSITORY.iterdir() if path.is_dir() and not path.name.startswith(".")}
ROOMS = sorted(path.parent.name for path in (REPOSITORY / "cluster").glob("*/__init__.py"))
SOURCES = sorted(path.name for path in (REPOSITORY / "worker_native" / "src").iterdir() if path.is_dir())
GGML_ROOMS = sorted(path.parent.name for path in (REPOSITORY / "ggml").glob("*/__init__.py"))
# A capital word in a path stands for a name that the reader chooses.
PATH = re.compile(r"`([\w./-]+/[\w./-]*)`")
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_every_link_and_every_path_leads_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    links = [link.split("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    assert not [link for link in links if link and not (page.parent / link).exists()]
    assert not [path for path in PATH.findall(text) if not _is_there(path)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_every_test_that_is_named_is_there(page: Path) -> None:
    for path, name in TEST.findall(page.read_text(encoding="utf-8")):
        defined = re.compile(rf"^(?:(?:async )?def {name}\(|{name} = )", re.MULTILINE)
        assert defined.search((REPOSITORY / path).read_text(encoding="utf-8")), f"{path}::{name}"


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_of_cluster_is_on_the_map(room: str) -> None:
    assert f"`{room}/`" in (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("room", [*GGML_ROOMS, *SOURCES])
def test_every_room_of_ggml_and_of_the_extension_is_on_the_map(room: str) -> None:
    assert f"`{room}/`" in (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")


def _is_there(path: str) -> bool:
    """Paths begin at the repository, or at a room of cluster or ggml; others are no paths of ours."""
    parts = path.rstrip("/.").split("/")
    if any(_is_chosen(part) for part in parts):
        parts = parts[: next(place for place, part in enumerate(parts) if _is_chosen(part))]
    if not parts or parts[0] in TOPS:
        return REPOSITORY.joinpath(*parts).exists()
    if parts[0] in ROOMS:
        return (REPOSITORY / "cluster").joinpath(*parts).exists() or (REPOSITORY / "ggml").joinpath(*parts).exists()
    return True


def _is_chosen(part: str) -> bool:
    """Whether a part of a path stands for a name that the reader chooses: NAME, SERVICE.proto."""
    return part.split(".")[0].isupper()
