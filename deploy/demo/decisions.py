"""Who decided on a request: read from the services' own metrics, before and after it."""

import urllib.request
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from deploy.local.ports import LOOPBACK

VERDICTS = "tollhouse_authz_verdicts_total"
LIMITS = "tollhouse_rls_limit_decisions_total"


class Decision(NamedTuple):
    """One kind of decision that a service counts."""

    service: str
    outcome: str
    """authz: `allow` or the reason of the refusal. rls: `ok` or `over_limit`."""
    decider: str
    """authz: the policy, empty if none had to. rls: the limit, by its path in the limits file."""


Counts = Counter[Decision]


def read_counts(admin_ports: Iterable[int]) -> Counts:
    """All decisions since the services were started."""
    counts: Counts = Counter()
    for port in admin_ports:
        with urllib.request.urlopen(f"http://{LOOPBACK}:{port}/metrics", timeout=5) as page:
            counts += parse_counts(page.read().decode())
    return counts


def parse_counts(text: str) -> Counts:
    """The decisions on a metrics page; whatever else it counts is left out."""
    counts: Counts = Counter()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = sample.labels
            if sample.name == VERDICTS:
                outcome = labels["reason"] or labels["verdict"]
                counts[Decision("authz", outcome, labels["policy"])] += int(sample.value)
            elif sample.name == LIMITS:
                counts[Decision("rls", labels["code"], labels["limit"])] += int(sample.value)
    return counts


def last_word(made: Iterable[Decision]) -> str:
    """
    What settled some requests, as one line.

    A refusal by authz ends a request; a limit is asked about only what authz allowed. So a limit
    that was exceeded says more than one that was not, and that more than the policy before it.
    """
    decisions = sorted(made)
    authz = [each for each in decisions if each.service == "authz"]
    rls = [each for each in decisions if each.service == "rls"]
    settled = (
        [each for each in authz if each.outcome != "allow"]
        or [each for each in rls if each.outcome == "over_limit"]
        or rls
        or authz
    )
    return "; ".join(map(_shown, settled))


def _shown(decision: Decision) -> str:
    if decision.service == "rls":
        return f"limit {decision.decider}"
    return f"{decision.outcome} by {decision.decider}" if decision.decider else decision.outcome
