"""Dashboards and alerts ask for metrics that there are, and lead to pages that there are."""

import json
import re
from typing import Any

import pytest

from deploy.local.processes import ROOT
from deploy.manifests import alerts, dashboards
from deploy.manifests.shapes import SHAPES
from deploy.manifests.wirings.rollouts import errors

RUNBOOK = (ROOT / alerts.RUNBOOK).read_text()
NAME = re.compile(r"tollhouse_[a-z_]+")


def exported() -> set[str]:
    """Metric names in the services' own code; a counter is exported with `_total`."""
    files = [file for room in ("rls", "authz", "serving") for file in (ROOT / room).rglob("*.py")]
    names = {
        name for file in files for name in re.findall(r'"(tollhouse_[a-z_]+)"', file.read_text())
    }
    return names | {f"{name}_total" for name in names}


def panels() -> list[tuple[str, dict[str, Any]]]:
    return [
        (name, panel)
        for name, text in dashboards.files().items()
        for panel in json.loads(text)["panels"]
    ]


@pytest.mark.parametrize(("name", "panel"), panels(), ids=lambda each: str(each)[:40])
def test_a_panel_asks_for_metrics_that_there_are(name: str, panel: dict[str, Any]):
    asked = {found for target in panel["targets"] for found in NAME.findall(target["expr"])}
    assert asked
    assert asked <= exported()
    assert all('namespace=~"$namespace"' in target["expr"] for target in panel["targets"])


@pytest.mark.parametrize("alert", alerts.ALERTS, ids=lambda each: each.name)
def test_an_alert_asks_for_metrics_that_there_are_and_has_its_page(alert: alerts.Alert):
    assert set(NAME.findall(alert.expr)) <= exported()
    assert f"## {alert.name}\n" in RUNBOOK


def test_the_runbook_has_no_page_of_an_alert_that_is_gone():
    pages = re.findall(r"^## (Tollhouse\w+)$", RUNBOOK, re.M)
    assert pages == [alert.name for alert in alerts.ALERTS]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda each: each.name)
def test_rollouts_ask_for_metrics_that_there_are(shape):
    assert set(NAME.findall(errors(shape, ""))) <= exported()


def test_panels_do_not_overlap_and_have_identities():
    for name, text in dashboards.files().items():
        dashboard = json.loads(text)
        places = [tuple(panel["gridPos"][at] for at in "xy") for panel in dashboard["panels"]]
        assert len(set(places)) == len(places)
        assert len({panel["id"] for panel in dashboard["panels"]}) == len(places)
        assert dashboard["uid"] == f"tollhouse-{name.removesuffix('.json')}"
