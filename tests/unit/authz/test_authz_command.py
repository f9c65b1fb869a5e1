"""`python -m authz check`: its exit status and what it prints; `serve` is in tests/integration."""

from pathlib import Path

import pytest

from authz.__main__ import main

GOOD = """
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: reads, namespace: default}
spec: {rules: [{to: [{operation: {methods: [GET]}}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
"""
OVER_HTTP = """
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: tokens, namespace: default}
spec: {jwtRules: [{issuer: a, jwksUri: "http://a/keys"}]}
"""


def test_check_counts_documents_and_says_what_it_ignored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(GOOD)
    assert main(["check", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"ignored: {file}:7:1: Service of v1: not for this service",
        "ok: 1 AuthorizationPolicy, 0 RequestAuthentication",
    ]


def test_check_lists_every_problem_of_every_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken, http = tmp_path / "broken.yaml", tmp_path / "http.yaml"
    broken.write_text(GOOD.replace("methods: [GET]", "method: [GET], ports: [http]"))
    http.write_text(OVER_HTTP)
    assert main(["check", str(broken), str(http)]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith(f"{broken}:5:35: spec.rules[0].to[0].operation.method: unknown key")
    assert lines[1].startswith(f"{broken}:5:")
    assert "ports" in lines[1]
    assert lines[2].startswith(f"{http}:5:")


def test_keys_over_http_pass_where_the_setting_allows_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "http.yaml"
    file.write_text(OVER_HTTP)
    monkeypatch.setenv("JWKS_ALLOW_HTTP", "true")
    assert main(["check", str(file)]) == 0


def test_check_of_a_path_that_does_not_exist_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(tmp_path / "typo")]) == 1
    assert capsys.readouterr().err == f"{tmp_path / 'typo'}: No such file or directory\n"
