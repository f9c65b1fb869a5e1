"""
Write everything that is rendered below `deploy/`, or check that it is current and free of traps.

    python -m deploy.render [--check]

kubernetes/base and kubernetes/overlays for kustomize, helm/tollhouse, envoy (bootstraps without a
mesh), dashboards.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

from deploy import traps
from deploy.manifests import alerts, chart, dashboards, plain_envoy
from deploy.manifests.base import rooms
from deploy.manifests.base_about import BASE_ABOUT, NAMESPACE_ABOUT
from deploy.manifests.knobs import knobs
from deploy.manifests.names import HOME
from deploy.manifests.objects import as_yaml, comment, made
from deploy.manifests.overlay import Overlay
from deploy.manifests.overlays import overlays
from deploy.manifests.sheet import HEADER, Sheet, plain
from deploy.manifests.values import Defaults

FOLDER = Path(__file__).parent
RENDERED = ("kubernetes", "helm", "envoy", "dashboards")

RULES_ABOUT = """
The alerts as a rules file of Prometheus; each names its part of deploy/docs/runbook.md.
"""


def files() -> dict[str, str]:
    """Path below `deploy/` → text of every rendered file."""
    return {
        **_below("kubernetes/base", base().files()),
        **{
            path: text
            for overlay in overlays()
            for path, text in _below(f"kubernetes/overlays/{overlay.name}", overlay.files()).items()
        },
        **_below("helm/tollhouse", chart.files()),
        **_below("envoy", plain_envoy.files()),
        **_below("dashboards", dashboards.files()),
        "dashboards/alerts.yaml": comment(HEADER + RULES_ABOUT)
        + as_yaml([alerts.groups()], start=False),
    }


def base() -> Overlay:
    """The folder that overlays stand on; what is off by default in the chart is not in it."""
    off = [path for path, knob in knobs().items() if knob.default is False]
    found = rooms(Defaults(HOME, knobs()))
    sheets = {
        name: Sheet(room.about, plain(room.parts, off))
        for name, room in found.items()
        if room.switch not in off
    }
    labels = {"istio-injection": "enabled", "pod-security.kubernetes.io/warn": "restricted"}
    home = made("v1", "Namespace", HOME, None, labels=labels)
    return Overlay("base", BASE_ABOUT, {"namespace.yaml": Sheet(NAMESPACE_ABOUT, [home]), **sheets})


def write(folder: Path) -> list[str]:
    """Write every file below `folder`; return their names."""
    rendered = files()
    for name, text in rendered.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return sorted(rendered)


def stale(folder: Path) -> list[str]:
    """Name the files below `folder` that differ, are missing or have no source any more."""
    expected = files()
    present = {
        str(path.relative_to(folder)): path
        for name in RENDERED
        for path in (folder / name).rglob("*")
        if path.is_file()
    }
    differing = {name for name, path in present.items() if path.read_text() != expected.get(name)}
    return sorted(differing | (expected.keys() - present.keys()))


def main(arguments: list[str], folder: Path = FOLDER) -> int:
    """Write in place; with `--check` change nothing, and return 1 for a stale file or a trap."""
    if arguments != ["--check"]:
        for name in write(folder):
            print(f"deploy/{name}")
        return 0
    found = [f"deploy/{name}: stale; run `make manifests`" for name in stale(folder)]
    found += traps.found(traps.read(folder))
    for line in found:
        print(line, file=sys.stderr)
    return 1 if found else 0


def _below(folder: str, texts: Mapping[str, str]) -> dict[str, str]:
    return {f"{folder}/{name}": text for name, text in texts.items()}


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
