"""A folder for `kubectl apply -k`: files of objects, what they stand on, what they change."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from deploy.manifests.objects import Manifest, as_yaml, comment
from deploy.manifests.sheet import HEADER, Sheet

BASE = "../../base"


class Overlay(NamedTuple):
    """A folder below `deploy/kubernetes/overlays/`."""

    name: str
    about: str
    """One paragraph: what it does, what it needs, what happens when a service does not answer."""
    sheets: Mapping[str, Sheet]
    """File name → objects to apply."""
    beside: Mapping[str, Sheet] = {}
    """Files that are for another tool (values of istiod's chart, a part of MeshConfig)."""
    on: Sequence[str] = ()
    """Folders that it includes."""
    patches: Sequence[Manifest] = ()
    """Strategic merge patches of included objects; `namespace` of their metadata included."""

    def files(self) -> dict[str, str]:
        """Every file of the folder, by name."""
        texts = {name: sheet.text() for name, sheet in {**self.sheets, **self.beside}.items()}
        return {"kustomization.yaml": self._kustomization(), **texts}

    def _kustomization(self) -> str:
        kustomization: dict[str, Any] = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "resources": [*self.on, *self.sheets],
        }
        if self.patches:
            texts = [{"patch": as_yaml([patch], start=False)} for patch in self.patches]
            kustomization["patches"] = texts
        return comment(f"{HEADER}\n{self.about}") + as_yaml([kustomization])
