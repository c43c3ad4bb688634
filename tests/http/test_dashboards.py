"""What dashboards, rules and docs/metrics.md say of our metrics, held against a real scrape."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.http.expressions import Asked, asked
from tests.http.serving import Served

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "deploy" / "compose"
PAGE = ROOT / "docs" / "metrics.md"
OF_PROMETHEUS = {"up"}  # made by the scraper, with the label job


@pytest.fixture(scope="module")
def scraped(served: Served) -> Mapping[str, Any]:
    """Every family by name, after requests that ended well and badly, so that each has a series."""
    body = {"prompt": "Once upon a time", "stream": False, "raw": True, "unheard_of": 1, "options": {"num_predict": 3}}
    assert served.post("/api/generate", {"model": "demo", **body}).status == 200
    families = text_string_to_metric_families(served.get("/metrics").content.decode())
    return {family.name: family for family in families}


@pytest.fixture(scope="module")
def series(scraped: Mapping[str, Any]) -> dict[str, set[str]]:
    """The labels that each series may have, as the page has them; a counter that counted nothing yet tells none."""
    found = {name + ending: set(labels) for name, (kind, labels, _) in _page().items() for ending in _endings(kind)}
    for family in scraped.values():
        for sample in family.samples:
            assert set(sample.labels) - {"le"} <= found[sample.name], sample.name
    for name in [name for name in found if name.endswith("_bucket")]:
        found[name].add("le")
    return found


def _endings(kind: str) -> tuple[str, ...]:
    return {"histogram": ("_bucket", "_sum", "_count"), "counter": ("_total",)}.get(kind, ("",))


def _page() -> dict[str, tuple[str, tuple[str, ...], str]]:
    """Kind, labels and text of each family, by the family's name, as docs/metrics.md has them."""
    rows = re.findall(
        r"^\| `([\w:]+)` \| (\w+) \| ([^|]*) \| ([^|]*) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE
    )
    return {
        name.removesuffix("_total") if kind == "counter" else name: (
            kind,
            tuple(re.findall(r"`(\w+)`", labels)),
            text.strip(),
        )
        for name, kind, labels, text in rows
    }


@pytest.mark.native
def test_the_page_has_every_metric_with_its_kind_and_its_text(scraped: Mapping[str, Any]) -> None:
    own = {name: (family.type, family.documentation) for name, family in scraped.items()}
    assert {name: (kind, text) for name, (kind, _, text) in _page().items()} == own


@pytest.mark.native
@pytest.mark.parametrize("file", ["grafana/cluster.json", "alerts.yaml"])
def test_every_series_and_label_is_there(file: str, series: Mapping[str, set[str]]) -> None:
    for expression in _expressions(file):
        found = asked(expression)
        for name in found.series - OF_PROMETHEUS:
            assert name in series, f"{name} of {expression}"
        if not found.series & OF_PROMETHEUS:
            for label in found.labels:
                assert all(label in series[name] for name in found.series), f"{label} of {expression}"


@pytest.mark.native
def test_legends_and_summaries_name_labels_that_are_there(series: Mapping[str, set[str]]) -> None:
    for panel in json.loads((COMPOSE / "grafana" / "cluster.json").read_text())["panels"]:
        for target in panel["targets"]:
            named = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            assert all(named <= series[name] for name in asked(target["expr"]).series), target
    yaml = pytest.importorskip("yaml")
    for rule in yaml.safe_load((COMPOSE / "alerts.yaml").read_text())["groups"][0]["rules"]:
        named = set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"])))
        assert all(named <= series[name] for name in asked(rule["expr"]).series - OF_PROMETHEUS), rule


def test_rules_say_what_and_what_to_do() -> None:
    yaml = pytest.importorskip("yaml")
    rules = yaml.safe_load((COMPOSE / "alerts.yaml").read_text())["groups"][0]["rules"]
    assert len({rule["alert"] for rule in rules}) == len(rules) >= 6
    for rule in rules:
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"].keys() == {"summary", "description"}


def test_panels_of_the_dashboard_do_not_overlap() -> None:
    places = [panel["gridPos"] for panel in json.loads((COMPOSE / "grafana" / "cluster.json").read_text())["panels"]]
    cells = [
        (x, y) for at in places for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(set(cells)) == len(cells)


def test_counters_are_asked_for_their_rate() -> None:
    for file in ("grafana/cluster.json", "alerts.yaml"):
        for expression in _expressions(file):
            for name in re.findall(r"\w+_total\b|\w+_bucket\b", expression):
                assert f"rate({name}[" in expression, expression


@pytest.mark.parametrize(
    "wrong", ["rate(a_total[5m]", "sum(a))", "a{b=c}", "a[5 minutes]", "rat(a_total[5m])", "a ? b", "sum by (a (b)"]
)
def test_what_is_no_expression_is_found(wrong: str) -> None:
    with pytest.raises(ValueError):
        asked(wrong)


def test_an_expression_is_taken_apart() -> None:
    found = asked('sum by (le, x) (rate(a_bucket{job="j",y!="2"}[5m])) > 0.05 * max(b_c) and d == 0')
    assert found == Asked(frozenset({"a_bucket", "b_c", "d"}), frozenset({"le", "x", "job", "y"}))


def _expressions(file: str) -> list[str]:
    text = (COMPOSE / file).read_text(encoding="utf-8")
    if file.endswith(".json"):
        return [target["expr"] for panel in json.loads(text)["panels"] for target in panel["targets"]]
    yaml = pytest.importorskip("yaml")
    return [rule["expr"] for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]
