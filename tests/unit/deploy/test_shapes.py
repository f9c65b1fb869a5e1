"""Every object of every rendered file is what its API knows, field by field."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.render import FOLDER
from tests.unit.deploy.kubernetes_shapes import problems

FILES = sorted(
    file
    for file in (FOLDER / "kubernetes").rglob("*.yaml")
    if file.name != "kustomization.yaml" and file.parent.name != "mesh-config"
)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(FOLDER)))
def test_every_object_fits_its_schema(file: Path):
    found = [each for body in yaml.safe_load_all(file.read_text()) for each in problems(body)]
    assert found == []


def body(name: str, kind: str) -> dict[str, Any]:
    documents = yaml.safe_load_all((FOLDER / "kubernetes" / name).read_text())
    (found,) = (each for each in documents if each["kind"] == kind)
    return dict(found)


@pytest.mark.parametrize(
    ("name", "kind", "path", "value", "wanted"),
    [
        ("base/rls.yaml", "Deployment", "spec.paused", "no", "'no' is no bool"),
        ("base/rls.yaml", "Deployment", "spec.replica", 2, "unknown field replica"),
        ("base/rls.yaml", "Deployment", "spec.template", None, "is no V1PodTemplateSpec"),
        ("base/rls.yaml", "Service", "spec.ports", {}, "is no list"),
        ("base/rls.yaml", "Service", "metadata.label", {}, "unknown field label"),
        ("base/rls.yaml", "HorizontalPodAutoscaler", "spec.minReplicas", "2", "is no int"),
        ("base/rls.yaml", "DestinationRule", "spec.exportsTo", ["*"], "unknown field exportsTo"),
        ("base/rls.yaml", "DestinationRule", "spec.host", 7, "7 is not string"),
        ("base/mesh.yaml", "PeerAuthentication", "spec.mtls", {"mode": "STRIKT"}, "STRIKT"),
        ("base/mesh.yaml", "PeerAuthentication", "spec", {}, "mtls is missing"),
        ("base/mesh.yaml", "PeerAuthentication", "apiVersion", "security.istio.io/v9", "version"),
        ("base/mesh.yaml", "PeerAuthentication", "kind", "PeerAuthentikation", "no schema"),
        ("base/mesh.yaml", "PeerAuthentication", "metadata.name", 1, "is no str"),
    ],
)
def test_a_mistake_is_found(name: str, kind: str, path: str, value: Any, wanted: str):
    changed = body(name, kind)
    *above, last = path.split(".")
    target = changed
    for each in above:
        target = target[each]
    target[last] = value
    assert wanted in " ".join(problems(changed))


def test_a_field_that_must_be_there_is_missed():
    changed = body("base/rls.yaml", "Deployment")
    del changed["spec"]["selector"]
    assert "selector\n  Field required" in " ".join(problems(changed))


def test_values_of_other_charts_are_plain_maps():
    """What is for istiod's chart is no object; its providers are checked by `deploy.traps`."""
    for file in FOLDER.rglob("mesh-config/*.yaml"):
        (values,) = yaml.safe_load_all(file.read_text())
        assert values.keys() == {"meshConfig"}
