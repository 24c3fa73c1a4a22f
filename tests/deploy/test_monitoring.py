"""Dashboard and alerts: every series that they ask for is one that the service exports."""

import json
import re
from typing import Any

import yaml

from tests.deploy.markdown import read, sections
from tests.deploy.metrics import instruments
from tests.deploy.overlays import K3S

MONITORING = K3S / "monitoring"
WORDS = ("queued", "in flight", "completed", "failed", "refused", "open for writing")
#: What is no series in an expression, in the order in which it is taken out.
NO_SERIES = (
    r"\{[^}]*\}",  # which of the series
    r"\[[^\]]*\]",  # over which time
    r"\b(by|on)\s*\([^)]*\)",  # labels
    r"\b(histogram_quantile|increase|predict_linear|rate|sum|unless)\b",
)


def test_series_are_found_in_an_expression() -> None:
    expression = 'sum by (le) (rate(a_bucket{x=~"$pod"}[5m])) / 0.2 * b_total unless on (x) c_depth > 0'

    assert _series_in(expression) == {"a_bucket", "b_total", "c_depth"}


def test_every_alert_asks_for_series_that_are_exported_and_says_what_to_do() -> None:
    for rule in _rules():
        assert set() < _series_in(rule["expr"]) <= _exported(), rule["alert"]
        assert set(rule["annotations"]) == {"summary", "remedy", "runbook_url"}
        assert rule["labels"]["severity"] in {"critical", "warning"}


def test_every_alert_has_its_heading_in_the_manual_and_every_heading_its_alert() -> None:
    links = {rule["alert"]: rule["annotations"]["runbook_url"] for rule in _rules()}
    alerts = sections(read("docs/operations.md"))["alerts"]

    assert links == {name: f"docs/operations.md#{name.lower()}" for name in links}
    assert {heading for heading in alerts if heading != "alerts"} == {name.lower() for name in links}


def test_every_panel_asks_for_series_that_are_exported() -> None:
    for panel in _dashboard()["panels"]:
        for target in panel["targets"]:
            assert set() < _series_in(target["expr"]) <= _exported(), panel["title"]


def test_every_metric_is_on_the_dashboard() -> None:
    """A histogram by any of its series."""
    shown = {series for panel in _dashboard()["panels"] for target in panel["targets"] for series in _series_in(target["expr"])}

    assert [one.name for one in instruments() if not shown & set(one.series())] == []


def test_the_dashboard_uses_the_words_of_the_status() -> None:
    """So do the page and `nfsw status`."""
    titles = [panel["title"].lower() for panel in _dashboard()["panels"]]
    (in_flight,) = (panel["description"] for panel in _dashboard()["panels"] if panel["title"] == "Files in flight")

    assert [word for word in WORDS if not any(f"files {word}" in title for title in titles)] == []
    assert "staging, uploading" in in_flight


def test_no_panel_lies_over_another() -> None:
    places = [panel["gridPos"] for panel in _dashboard()["panels"]]
    cells = [(x, y) for at in places for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])]

    assert len(cells) == len(set(cells))
    assert len({panel["id"] for panel in _dashboard()["panels"]}) == len(places)


def _exported() -> set[str]:
    return {series for one in instruments() for series in one.series()}


def _series_in(expression: str) -> set[str]:
    for pattern in NO_SERIES:
        expression = re.sub(pattern, " ", expression)
    return set(re.findall(r"[a-z]\w+", expression))


def _rules() -> list[Any]:
    groups = yaml.safe_load((MONITORING / "alerts.yaml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def _dashboard() -> Any:
    return json.loads((MONITORING / "dashboard.json").read_text())
