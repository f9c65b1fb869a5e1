"""What somebody has to be told of, and where the page for it is."""

from typing import NamedTuple

from authz.request import Reason
from deploy.manifests.objects import Manifest

FAULTS = "|".join((Reason.KEYS_UNAVAILABLE, Reason.NOT_READY, Reason.INTERNAL))
"""Refusals that are nobody's fault but ours, or an issuer's."""

RUNBOOK = "deploy/docs/runbook.md"


class Alert(NamedTuple):
    """One rule. Its runbook anchor is its name in small letters."""

    name: str
    expr: str
    minutes: int
    """How long it has to hold."""
    severity: str
    summary: str


ALERTS = (
    Alert(
        "TollhouseRlsStoreDown",
        "min by (namespace, pod) (tollhouse_rls_store_up) == 0",
        1,
        "critical",
        "{{ $labels.pod }} has no counter store: on_store_failure decides about every limit.",
    ),
    Alert(
        "TollhouseRlsErrors",
        'sum by (namespace) (rate(tollhouse_rls_requests_total{code="error"}[5m]))'
        " / sum by (namespace) (rate(tollhouse_rls_requests_total[5m])) > 0.01",
        5,
        "critical",
        "{{ $value | humanizePercentage }} of rate limit calls fail; proxies answer 503 for them.",
    ),
    Alert(
        "TollhouseRlsStoreUnsteady",
        "increase(tollhouse_rls_store_connections_total[10m]) > 5",
        0,
        "warning",
        "{{ $labels.pod }} has connected to its counter store {{ $value }} times in 10 minutes.",
    ),
    Alert(
        "TollhouseRlsLimitMostlyOver",
        'sum by (limit) (rate(tollhouse_rls_limit_decisions_total{code="over_limit"}[15m]))'
        " / sum by (limit) (rate(tollhouse_rls_limit_decisions_total[15m])) > 0.5",
        15,
        "warning",
        "{{ $labels.limit }} refuses {{ $value | humanizePercentage }} of what it is asked about.",
    ),
    Alert(
        "TollhouseConfigRefused",
        'increase(tollhouse_config_loads_total{result="error"}[15m]) > 0',
        0,
        "warning",
        "{{ $labels.pod }} refused its {{ $labels.kind }}; it serves on with the last good ones.",
    ),
    Alert(
        "TollhouseAuthzFaults",
        "sum by (namespace, reason) (rate(tollhouse_authz_verdicts_total"
        f'{{reason=~"{FAULTS}"}}[5m])) > 0',
        5,
        "critical",
        "authz refuses requests for a fault of its own: {{ $labels.reason }}.",
    ),
    Alert(
        "TollhouseAuthzKeysFailing",
        'rate(tollhouse_authz_key_fetches_total{result="failed"}[10m]) > 0',
        10,
        "warning",
        "{{ $labels.pod }} cannot fetch the keys of an issuer; it serves on with those it has.",
    ),
    Alert(
        "TollhouseAuthzDenialsJump",
        'sum(rate(tollhouse_authz_verdicts_total{verdict="deny"}[10m]))'
        " > 3 * sum(rate(tollhouse_authz_verdicts_total"
        '{verdict="deny"}[10m] offset 1h))'
        ' and sum(rate(tollhouse_authz_verdicts_total{verdict="deny"}[10m]))'
        " > 0.2 * sum(rate(tollhouse_authz_verdicts_total[10m]))",
        10,
        "warning",
        "authz refuses three times as much as an hour ago, and more than a fifth of all requests.",
    ),
    Alert(
        "TollhouseDown",
        'up{job=~"rls|authz"} == 0',
        2,
        "critical",
        "{{ $labels.pod }} does not answer on its admin port.",
    ),
    Alert(
        "TollhouseWorkerRestarts",
        "increase(tollhouse_worker_restarts_total[15m]) > 2",
        0,
        "warning",
        "A worker of {{ $labels.pod }} was started again {{ $value }} times in 15 minutes.",
    ),
)


def groups() -> Manifest:
    """As a rules file of Prometheus has them."""
    return {"groups": [{"name": "tollhouse", "rules": [_rule(alert) for alert in ALERTS]}]}


def anchor(alert: Alert) -> str:
    return alert.name.lower()


def _rule(alert: Alert) -> Manifest:
    rule: Manifest = {"alert": alert.name, "expr": alert.expr}
    if alert.minutes:
        rule["for"] = f"{alert.minutes}m"
    return {
        **rule,
        "labels": {"severity": alert.severity},
        "annotations": {"summary": alert.summary, "runbook": f"{RUNBOOK}#{anchor(alert)}"},
    }
