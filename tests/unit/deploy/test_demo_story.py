"""The demo's judgement of what it saw."""

import pytest

from authz.policy_file import read_policies
from deploy.demo.__main__ import clear, reported
from deploy.demo.decisions import Decision, last_word, parse_counts
from deploy.demo.requests import Outcome, credentials
from deploy.demo.story import PATIENCE_SECONDS, STORY, Step, seconds_to_wait
from deploy.demo.table import lines
from deploy.local.mesh import CALLERS, ISSUER, LIMITS, POLICIES
from deploy.local.processes import NotStarted
from deploy.local.tokens import Issuer
from rls.limits import Level
from rls.limits_file import find_limits_files, read_limits
from serving.reload import read_files

AUTHZ_PAGE = """\
# TYPE tollhouse_authz_verdicts_total counter
tollhouse_authz_verdicts_total{verdict="allow",reason="",policy="shop/callers"} 2.0
tollhouse_authz_verdicts_total{verdict="deny",reason="denied_by_policy",policy="shop/x"} 1.0
# TYPE tollhouse_authz_key_fetches_total counter
tollhouse_authz_key_fetches_total{result="ok"} 7.0
"""
RLS_PAGE = """\
# TYPE tollhouse_rls_limit_decisions_total counter
tollhouse_rls_limit_decisions_total{limit="shop.path",code="over_limit"} 3.0
"""

ALLOWED = Decision("authz", "allow", "shop/callers")
DENIED = Decision("authz", "denied_by_policy", "shop/x")
MISSING = Decision("authz", "missing_token", "")
UNDER = Decision("rls", "ok", "shop.path")
OVER = Decision("rls", "over_limit", "shop.path")
OTHER_UNDER = Decision("rls", "ok", "shop.other")


def test_metrics_pages_become_decisions():
    assert parse_counts(AUTHZ_PAGE) == {ALLOWED: 2, DENIED: 1}
    assert parse_counts(RLS_PAGE) == {OVER: 3}


@pytest.mark.parametrize(
    ("made", "words"),
    [
        ([], ""),
        ([ALLOWED], "allow by shop/callers"),
        ([MISSING], "missing_token"),
        ([DENIED, ALLOWED, UNDER], "denied_by_policy by shop/x"),
        ([ALLOWED, UNDER], "limit shop.path"),
        ([ALLOWED, UNDER, OTHER_UNDER], "limit shop.other; limit shop.path"),
        ([ALLOWED, UNDER, OTHER_UNDER, OVER], "limit shop.path"),
    ],
)
def test_the_last_word(made: list[Decision], words: str):
    assert last_word(made) == words


STEP = Step("burst", "/a", (200, 429), "limit shop.path")


@pytest.mark.parametrize(
    ("statuses", "decider", "good"),
    [
        ((200, 429), "limit shop.path", True),
        ((200, 200), "limit shop.path", False),
        ((200, 429), "limit shop.other", False),
    ],
)
def test_an_outcome_is_good_when_status_and_decider_are(statuses, decider, good):
    assert Outcome(STEP, statuses, decider).as_expected is good


def test_the_table_is_aligned_and_marks_what_differs():
    single = Step("alone", "/long/path", (200,), "allow")
    rows = lines([Outcome(STEP, (200, 200), ""), Outcome(single, (200,), "allow")])
    assert rows == [
        "what   request         status  decided by  expected",
        "─────  ──────────────  ──────  ──────────  ────────────────────────────────────",
        "burst  GET /a          200 x2              200, 429, limit shop.path  ← DIFFERS",
        "alone  GET /long/path  200     allow       200",
    ]


@pytest.mark.parametrize(
    ("now", "wait"),
    [
        (0.0, 0.0),
        (3_600.0 - PATIENCE_SECONDS, 0.0),
        (3_600.0 - PATIENCE_SECONDS + 0.5, PATIENCE_SECONDS - 0.5),
        (7_199.0, 1.0),
    ],
)
def test_the_story_is_not_told_across_the_end_of_an_hour(now: float, wait: float):
    assert seconds_to_wait(now) == wait


def test_what_does_not_start_is_reported_in_a_sentence(tmp_path, capsys):
    def run() -> int:
        raise NotStarted("rls ended with 1")

    assert reported(run) == 1
    assert capsys.readouterr().err == "rls ended with 1\n"
    clear(tmp_path, 1)
    assert capsys.readouterr().err == f"logs: {tmp_path}\n"
    assert tmp_path.exists()


def test_logs_nobody_needs_are_removed(tmp_path):
    (tmp_path / "rls.log").write_text("")
    clear(tmp_path, reported(lambda: 0))
    assert not tmp_path.exists()


def limit_paths(level: Level) -> set[str]:
    nodes = [*level.exact.values(), *level.key_only.values(), *(n for _, n in level.wildcards)]
    own = {node.limit.path for node in nodes if node.limit}
    return own.union(*(limit_paths(node.below) for node in nodes if node.below))


def test_the_story_visits_every_limit_and_every_policy_of_the_example():
    limits = read_limits(read_files(find_limits_files(LIMITS)))
    paths = set().union(*map(limit_paths, limits.values()))
    named = {step.decider for step in STORY}
    assert {f"limit {path}" for path in paths} <= named
    configuration = read_policies(read_files(sorted(POLICIES.glob("*.yaml"))))
    for policy in configuration.authorization_policies:
        assert any(policy.attachment.full_name in decider for decider in named)


def test_the_story_uses_callers_and_credentials_that_exist():
    names = credentials(Issuer(ISSUER), 0).keys()
    assert {step.credential for step in STORY} == set(names)
    assert {step.caller for step in STORY} == {each.service_account for each in CALLERS}
