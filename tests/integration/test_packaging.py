"""
kustomize, Helm and Prometheus' own tools take what is rendered, where they are installed.

None of them is a dependency: without one its tests are skipped. No cluster is needed.
"""

import json
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.manifests.alerts import ALERTS
from deploy.manifests.knobs import knobs
from deploy.manifests.overlays import overlays
from deploy.render import FOLDER
from tests.unit.deploy.kubernetes_shapes import problems

FOLDERS = ["base", *(f"overlays/{each.name}" for each in overlays())]
ALERT_CASES = Path(__file__).parents[1] / "cases" / "deploy" / "alerts.yaml"
CHART = FOLDER / "helm" / "tollhouse"


def tool(name: str) -> str:
    """Where a program is; the test is skipped where it is not."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed here")
    return found


def run(*command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, capture_output=True, check=False, text=True, timeout=120)


@cache
def kustomized(folder: str) -> tuple[dict[str, Any], ...]:
    """What kustomize makes of a folder, as its objects."""
    made = run(tool("kubectl"), "kustomize", str(FOLDER / "kubernetes" / folder))
    assert made.returncode == 0, made.stderr
    return tuple(yaml.safe_load_all(made.stdout))


def templated(*arguments: str) -> "subprocess.CompletedProcess[str]":
    helm = tool("helm")
    return run(helm, "template", "tollhouse", str(CHART), "--namespace", "tollhouse", *arguments)


def by_name(objects: Any) -> dict[tuple[str, str], dict[str, Any]]:
    return {(each["kind"], each["metadata"]["name"]): each for each in objects if each}


@pytest.mark.parametrize("folder", FOLDERS)
def test_kustomize_renders_every_folder_into_good_objects(folder: str):
    objects = kustomized(folder)
    assert len(by_name(objects)) == len(objects)
    assert [found for each in objects for found in problems(each)] == []


def test_helm_and_kustomize_have_the_same_objects():
    made = templated("--set", "monitoring.enabled=true")
    assert made.returncode == 0, made.stderr
    helm = by_name(yaml.safe_load_all(made.stdout))
    plain = by_name((*kustomized("base"), *kustomized("overlays/monitoring")))
    del plain["Namespace", "tollhouse"]  # Helm's --create-namespace
    assert helm.keys() == plain.keys()
    assert [name for name in helm if helm[name] != plain[name]] == []


def test_the_chart_is_packed_and_installed_from_the_tarball(tmp_path: Path):
    """Offline: nothing is fetched, and the tarball renders what the folder does."""
    helm = tool("helm")
    packed = run(helm, "package", str(CHART), "--destination", str(tmp_path))
    assert packed.returncode == 0, packed.stderr
    (tarball,) = tmp_path.iterdir()
    from_tarball = run(helm, "template", "tollhouse", str(tarball), "--namespace", "tollhouse")
    assert from_tarball.stdout == templated().stdout != ""
    assert run(helm, "lint", "--strict", str(CHART)).returncode == 0


@pytest.mark.parametrize(
    ("given", "absent"),
    [
        ("mesh.enabled", {"PeerAuthentication", "DestinationRule", "AuthorizationPolicy"}),
        ("networkPolicy.enabled", {"NetworkPolicy"}),
        ("monitoring.enabled", {"ServiceMonitor", "PrometheusRule"}),
    ],
)
def test_a_switch_that_is_off_leaves_its_kinds_out(given: str, absent: set[str]):
    kinds = {
        each["kind"]
        for each in yaml.safe_load_all(templated("--set", f"{given}=false").stdout)
        if each
    }
    assert "Deployment" in kinds
    assert not kinds & absent


def test_a_switch_of_a_service_leaves_nothing_of_it():
    made = templated("--set", "authz.enabled=false", "--set", "valkey.enabled=false")
    names = {each["metadata"]["name"] for each in yaml.safe_load_all(made.stdout) if each}
    assert names == {"default", "rls", "rls-limits"}


def test_values_of_another_kind_reach_their_places(tmp_path: Path):
    values = {
        "image": "registry.example/tollhouse@sha256:00",
        "rls": {
            "settings": {"REDIS_URL": 'sentinel:26379,"odd"', "LOG_LEVEL": "DEBUG"},
            "limits": {"shop.yaml": None, "mine.yaml": "domain: mine\n"},
            "tolerations": [{"key": "edge", "operator": "Exists"}],
        },
    }
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump(values))
    made = templated("--values", str(file))
    assert made.returncode == 0, made.stderr
    objects = by_name(yaml.safe_load_all(made.stdout))
    pod = objects["Deployment", "rls"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    env = {each["name"]: each["value"] for each in container["env"]}
    assert container["image"] == values["image"]
    assert env["REDIS_URL"] == 'sentinel:26379,"odd"'
    assert env["LOG_LEVEL"] == "DEBUG"
    assert env["DRAIN_DELAY"] == "3s"  # what was not given stays
    assert pod["tolerations"] == [{"key": "edge", "operator": "Exists"}]
    assert objects["ConfigMap", "rls-limits"]["data"] == {"mine.yaml": "domain: mine\n"}


@pytest.mark.parametrize(
    "wrong",
    [
        "rls.replicas=2",
        "rls.minReplicas=0",
        "rls.minReplicas=two",
        "rls.settings.log_level=DEBUG",
        "authz.targetCPUPercent=101",
        "imagePullPolicy=Sometimes",
        "image=",
        "mesh.enabled=yes please",
        "rls.resources.request.cpu=1",
        "rls.resources.requests.cpu=lots",
        "unknown=1",
    ],
)
def test_the_schema_refuses(wrong: str):
    made = templated("--set", wrong)
    assert made.returncode != 0
    assert "values don't meet the specifications" in made.stderr


def test_the_schema_knows_every_value_and_every_default():
    found = json.loads((CHART / "values.schema.json").read_text())
    for path in knobs():
        branch = found
        for name in path.split("."):
            branch = branch["properties"][name]
        assert branch["description"]


def test_prometheus_takes_the_alerts():
    rules = FOLDER / "dashboards" / "alerts.yaml"
    checked = run(tool("promtool"), "check", "rules", str(rules))
    assert checked.returncode == 0, checked.stderr


def test_prometheus_takes_the_expressions_of_the_dashboards(tmp_path: Path):
    rules = [
        {"record": f"panel:{number}", "expr": _as_grafana_sends(expr)}
        for number, expr in enumerate(expressions())
    ]
    file = tmp_path / "panels.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    checked = run(tool("promtool"), "check", "rules", str(file))
    assert checked.returncode == 0, checked.stderr
    assert f"{len(rules)} rules found" in checked.stdout


def expressions() -> list[str]:
    return [
        target["expr"]
        for file in sorted((FOLDER / "dashboards").glob("*.json"))
        for panel in json.loads(file.read_text())["panels"]
        for target in panel["targets"]
    ]


def _as_grafana_sends(expr: str) -> str:
    return expr.replace("$__rate_interval", "1m").replace("$namespace", ".*")


@pytest.mark.parametrize("fires", [True, False], ids=["trouble", "calm"])
def test_each_alert_fires_for_its_trouble_and_not_for_calm(tmp_path: Path, fires: bool):
    cases = yaml.safe_load(ALERT_CASES.read_text())["alerts"]
    assert cases.keys() == {alert.name for alert in ALERTS}
    tests = [_alert_test(name, case, fires) for name, case in cases.items()]
    rules = FOLDER / "dashboards" / "alerts.yaml"
    file = tmp_path / "tests.yaml"
    file.write_text(yaml.safe_dump({"rule_files": [str(rules)], "tests": tests}))
    checked = run(tool("promtool"), "test", "rules", str(file))
    assert checked.returncode == 0, checked.stdout + checked.stderr


def _alert_test(name: str, case: dict[str, Any], fires: bool) -> dict[str, Any]:
    series = case["trouble" if fires else "calm"]
    (alert,) = (each for each in ALERTS if each.name == name)
    expected = {
        "exp_labels": {"severity": alert.severity, **case.get("labels", {})},
        "exp_annotations": {
            "summary": case["summary"],
            "runbook": f"deploy/docs/runbook.md#{name.lower()}",
        },
    }
    return {
        "interval": "1m",
        "input_series": [{"series": each, "values": values} for each, values in series.items()],
        "alert_rule_test": [
            {"eval_time": "90m", "alertname": name, "exp_alerts": [expected] if fires else []}
        ],
    }


def test_istioctl_takes_every_istio_object():
    istioctl = tool("istioctl")
    files = [
        str(file)
        for file in sorted((FOLDER / "kubernetes").rglob("*.yaml"))
        if ".istio.io/" in file.read_text() and file.name != "kustomization.yaml"
    ]
    checked = run(istioctl, "validate", *(part for file in files for part in ("-f", file)))
    assert checked.returncode == 0, checked.stderr
    assert "unknown field" not in checked.stdout + checked.stderr


def test_istioctl_analyze_has_nothing_to_say_but_that_envoyfilters_are_envoyfilters(tmp_path: Path):
    istioctl = tool("istioctl")
    for folder in FOLDERS:
        file = tmp_path / f"{folder.replace('/', '-')}.yaml"
        file.write_text(yaml.safe_dump_all(kustomized(folder)))
        found = run(istioctl, "analyze", "-A", "--use-kube=false", str(file))
        lines = (found.stdout + found.stderr).splitlines()
        said = [line for line in lines if "[IST" in line and "[IST0133]" not in line]
        assert (found.returncode, said) == (0, [])
