"""
Write the manifests of `deploy/kubernetes/`, or check that they are current.

    python -m deploy.render [--check]
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from deploy import about, istio, workloads

FOLDER = Path(__file__).parent / "kubernetes"
HEADER = "# Written by `make manifests` from deploy/*.py; edits here are lost.\n"


class Sheet(NamedTuple):
    """One file: the comment above its documents, and the documents."""

    about: str
    documents: list[dict[str, Any]]


def sheets() -> Mapping[str, Sheet]:
    """Path below `deploy/kubernetes/` → content; kubectl applies the files in order of name."""
    rls = [*workloads.service_objects(workloads.RLS), istio.destination_rule("rls")]
    authz = [*workloads.service_objects(workloads.AUTHZ), istio.destination_rule("authz")]
    rls_about = about.SERVICE.format(what="The rate limit service") + about.RLS
    authz_about = about.SERVICE.format(what="The authorization service") + about.AUTHZ
    return {
        "00-namespace.yaml": Sheet(about.NAMESPACE, workloads.namespace()),
        "authz.yaml": Sheet(authz_about, authz),
        "mesh-config/extension-provider.yaml": Sheet(about.PROVIDER, [istio.extension_provider()]),
        "rls.yaml": Sheet(rls_about, rls),
        "shop-authz-envoyfilter.yaml": Sheet(about.AUTHZ_PATCH, [istio.ext_authz_patch()]),
        "shop-authz-policy.yaml": Sheet(about.POLICY, [istio.custom_policy()]),
        "shop-rls-envoyfilter.yaml": Sheet(about.RLS_PATCH, [istio.ratelimit_patch()]),
        "valkey.yaml": Sheet(about.VALKEY, workloads.valkey_objects()),
    }


def rendered(sheet: Sheet) -> str:
    lines = (line for line in sheet.about.splitlines() if line)
    comment = "".join(f"# {line}\n" for line in lines)
    body = yaml.dump_all(
        sheet.documents, Dumper=_Dumper, sort_keys=False, explicit_start=True, width=200
    )
    return HEADER + comment + body


def write(folder: Path) -> list[str]:
    """Write every file below `folder`; return their names."""
    for name, sheet in sheets().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(rendered(sheet))
    return sorted(sheets())


def stale(folder: Path) -> list[str]:
    """Name the files below `folder` that differ, are missing or have no source any more."""
    expected = {name: rendered(sheet) for name, sheet in sheets().items()}
    present = {str(path.relative_to(folder)): path for path in folder.rglob("*.yaml")}
    differing = {name for name, path in present.items() if path.read_text() != expected.get(name)}
    return sorted(differing | (expected.keys() - present.keys()))


def main(arguments: list[str], folder: Path = FOLDER) -> int:
    """Write in place; with `--check` change nothing and return 1 when a file is stale."""
    if arguments != ["--check"]:
        for name in write(folder):
            print(f"deploy/kubernetes/{name}")
        return 0
    names = stale(folder)
    for name in names:
        print(f"deploy/kubernetes/{name}: stale; run `make manifests`", file=sys.stderr)
    return 1 if names else 0


class _Dumper(yaml.SafeDumper):
    """Block style: lists indented, texts of several lines as they are, no aliases."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: object) -> bool:
        return True


def _text(dumper: _Dumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
