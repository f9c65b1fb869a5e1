"""Grafana dashboards of both services: a row of panels for each question of whoever is on call."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

WIDTH, HEIGHT = 8, 8
A_ROW = 3
SOURCE = {"type": "prometheus", "uid": "${source}"}
SELECTED = 'namespace=~"$namespace"'


class Panel(NamedTuple):
    """One graph."""

    title: str
    exprs: Mapping[str, str]
    """Legend → expression; `SEL` stands for what the dashboard's variables select."""
    unit: str
    about: str


RLS = (
    Panel(
        "Answers",
        {"{{code}}": "sum by (code) (rate(tollhouse_rls_requests_total{SEL}[$__rate_interval]))"},
        "reqps",
        "What proxies were told. error: the call failed, and the proxy's failure mode decided.",
    ),
    Panel(
        "Over limit, by limit",
        {
            "{{limit}}": "topk(10, sum by (limit) (rate(tollhouse_rls_limit_decisions_total"
            '{SEL, code="over_limit"}[$__rate_interval])))'
        },
        "reqps",
        "The ten limits that refuse most; their path begins with the domain.",
    ),
    Panel(
        "Share over limit, by limit",
        {
            "{{limit}}": "topk(10, sum by (limit) (rate(tollhouse_rls_limit_decisions_total"
            '{SEL, code="over_limit"}[$__rate_interval])) / sum by (limit) '
            "(rate(tollhouse_rls_limit_decisions_total{SEL}[$__rate_interval])))"
        },
        "percentunit",
        "Near 1: the limit is too low for its traffic, or somebody does not back off.",
    ),
    Panel(
        "Decisions, by limit",
        {
            "{{limit}}": "topk(10, sum by (limit) "
            "(rate(tollhouse_rls_limit_decisions_total{SEL}[$__rate_interval])))"
        },
        "reqps",
        "Which limits the traffic meets at all.",
    ),
    Panel(
        "Counter store connected",
        {"{{pod}}": "min by (pod) (tollhouse_rls_store_up{SEL})"},
        "bool_yes_no",
        "No: on_store_failure decides about every limit.",
    ),
    Panel(
        "Commands a write",
        {
            "{{pod}}": "sum by (pod) (rate(tollhouse_rls_store_commands_total{SEL}"
            "[$__rate_interval])) / sum by (pod) "
            "(rate(tollhouse_rls_store_writes_total{SEL}[$__rate_interval]))"
        },
        "short",
        "How well calls that come together share a round trip; 1 at low rates.",
    ),
    Panel(
        "Store commands",
        {
            "{{pod}}": "sum by (pod) "
            "(rate(tollhouse_rls_store_commands_total{SEL}[$__rate_interval]))"
        },
        "ops",
        "What the store is asked. Below the rate of decisions where hits were counted together.",
    ),
    Panel(
        "New store connections",
        {"{{pod}}": "increase(tollhouse_rls_store_connections_total{SEL}[$__rate_interval])"},
        "short",
        "More than one after a start: the network or the store breaks connections.",
    ),
    Panel(
        "Limits loaded",
        {
            "{{pod}} {{result}}": "increase(tollhouse_config_loads_total"
            '{SEL, kind="limits"}[$__rate_interval])'
        },
        "short",
        "error: the file was refused, and the last good one serves on.",
    ),
)
AUTHZ = (
    Panel(
        "Verdicts",
        {
            "{{verdict}}": "sum by (verdict) "
            "(rate(tollhouse_authz_verdicts_total{SEL}[$__rate_interval]))"
        },
        "reqps",
        "What proxies were told.",
    ),
    Panel(
        "Refusals, by reason",
        {
            "{{reason}}": "sum by (reason) (rate(tollhouse_authz_verdicts_total"
            '{SEL, verdict="deny"}[$__rate_interval]))'
        },
        "reqps",
        "missing_token and expired_token are the caller's; the others are worth a look.",
    ),
    Panel(
        "Refusals, by policy",
        {
            "{{policy}}": "topk(10, sum by (policy) (rate(tollhouse_authz_verdicts_total"
            '{SEL, verdict="deny"}[$__rate_interval])))'
        },
        "reqps",
        "The document that refused; empty when none allowed.",
    ),
    Panel(
        "Allowed, by policy",
        {
            "{{policy}}": "topk(10, sum by (policy) (rate(tollhouse_authz_verdicts_total"
            '{SEL, verdict="allow"}[$__rate_interval])))'
        },
        "reqps",
        "The document that allowed; one that never does can go.",
    ),
    Panel(
        "Key fetches",
        {
            "{{result}}": "sum by (result) "
            "(rate(tollhouse_authz_key_fetches_total{SEL}[$__rate_interval]))"
        },
        "ops",
        "failed: known keys serve on; tokens with new ones are refused.",
    ),
    Panel(
        "Policies loaded",
        {
            "{{pod}} {{result}}": "increase(tollhouse_config_loads_total"
            '{SEL, kind="policies"}[$__rate_interval])'
        },
        "short",
        "error: the documents were refused, and the last good ones serve on.",
    ),
)
PANELS: Mapping[str, Sequence[Panel]] = {"rls": RLS, "authz": AUTHZ}


def files() -> Mapping[str, str]:
    """File name → JSON, as Grafana imports it."""
    return {f"{name}.json": _text(name, panels) for name, panels in PANELS.items()}


def _text(name: str, panels: Sequence[Panel]) -> str:
    dashboard = {
        "uid": f"tollhouse-{name}",
        "title": f"Tollhouse: {name}",
        "tags": ["tollhouse"],
        "schemaVersion": 39,
        "editable": False,
        "time": {"from": "now-1h", "to": "now"},
        "refresh": "30s",
        "templating": {"list": _variables()},
        "annotations": {"list": []},
        "panels": [_panel(number, panel) for number, panel in enumerate(panels)],
    }
    return json.dumps(dashboard, indent=1) + "\n"


def _variables() -> list[dict[str, Any]]:
    query = "label_values(tollhouse_config_loads_total, namespace)"
    namespaces = {
        "name": "namespace",
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": query, "refId": "namespace"},
        "definition": query,
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }
    return [{"name": "source", "type": "datasource", "query": "prometheus"}, namespaces]


def _panel(number: int, panel: Panel) -> dict[str, Any]:
    row, column = divmod(number, A_ROW)
    targets = [
        {
            "refId": chr(ord("A") + index),
            "datasource": SOURCE,
            "expr": expr.replace("SEL", SELECTED),
            "legendFormat": legend,
        }
        for index, (legend, expr) in enumerate(panel.exprs.items())
    ]
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.about,
        "datasource": SOURCE,
        "gridPos": {"x": column * WIDTH, "y": row * HEIGHT, "w": WIDTH, "h": HEIGHT},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": {"legend": {"displayMode": "table", "placement": "bottom", "calcs": ["max"]}},
        "targets": targets,
    }
