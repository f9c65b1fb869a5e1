"""Metrics pages merged line by line, and one worker's part of /readyz."""

import json

import pytest

from serving.worker_life import Page
from serving.worker_pages import labelled, merged, readiness


@pytest.mark.parametrize(
    ("sample", "with_label"),
    [
        ("up 1.0", 'up{worker="7"} 1.0'),
        ('a_total{code="ok"} 3.0', 'a_total{worker="7",code="ok"} 3.0'),
        ('a:b{le="+Inf"} 9e+99 1700000000', 'a:b{worker="7",le="+Inf"} 9e+99 1700000000'),
        ('a{path="x{y} 1",q="\\""} NaN', 'a{worker="7",path="x{y} 1",q="\\""} NaN'),
    ],
)
def test_a_sample_gets_the_label_and_keeps_the_rest_to_the_letter(
    sample: str, with_label: str
) -> None:
    assert labelled(sample, "7") == with_label


def test_a_metric_stands_once_with_the_samples_of_all() -> None:
    page = '# HELP a_total Tolls\n# TYPE a_total counter\na_total{x="y"} %s\n'
    only = "# HELP b Bridges\n# TYPE b gauge\nb 4.0\n"
    assert merged([("0", page % "1.0"), ("1", only + page % "2.0")]) == (
        "# HELP a_total Tolls\n"
        "# TYPE a_total counter\n"
        'a_total{worker="0",x="y"} 1.0\n'
        'a_total{worker="1",x="y"} 2.0\n'
        "# HELP b Bridges\n"
        "# TYPE b gauge\n"
        'b{worker="1"} 4.0\n'
    )


def test_no_page_is_no_text() -> None:
    assert merged([]) == merged([("0", "")]) == ""


READY = {"ready": True, "components": {"limits": {"ready": True, "reason": ""}}}
NOT_READY = {"ready": False, "components": {"limits": {"ready": False, "reason": "none"}}}


@pytest.mark.parametrize(
    ("pid", "up", "page", "state"),
    [
        (None, False, Page(502, "does not listen"), {"ready": False, "reason": "not running"}),
        (9, False, Page(502, "does not listen"), {"ready": False, "reason": "starting", "pid": 9}),
        (9, False, Page(200, json.dumps(READY)), {"ready": False, "reason": "starting", "pid": 9}),
        (9, True, Page(502, "is gone"), {"ready": False, "reason": "is gone", "pid": 9}),
        (9, True, Page(504, "is silent"), {"ready": False, "reason": "is silent", "pid": 9}),
        (9, True, Page(200, json.dumps(READY)), {**READY, "pid": 9}),
        (9, True, Page(503, json.dumps(NOT_READY)), {**NOT_READY, "pid": 9}),
    ],
)
def test_a_workers_readiness_is_its_own_word_or_why_there_is_none(
    pid: int | None, up: bool, page: Page, state: dict[str, object]
) -> None:
    assert readiness(pid, up, page) == state
