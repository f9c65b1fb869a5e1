"""The Helm chart: templates of the same objects, their values, and the values' schema."""

import json
from collections.abc import Mapping

from deploy.manifests.base import rooms
from deploy.manifests.knobs import knobs
from deploy.manifests.objects import as_yaml, comment
from deploy.manifests.sheet import HEADER, template
from deploy.manifests.values import Templated, nested, schema

VERSION = "0.1.0"

HELPERS = """\
{{- /* A map of settings as the env list of a container, in order of name. */}}
{{- define "tollhouse.settings" -}}
{{- $env := list -}}
{{- range $name, $value := . -}}
{{- $env = append $env (dict "name" $name "value" $value) -}}
{{- end -}}
{{- toJson $env -}}
{{- end -}}
"""

NOTES = """\
{{ if .Values.rls.enabled }}rls    rls.{{ .Release.Namespace }}.svc:8081{{ end }}
{{ if .Values.authz.enabled }}authz  authz.{{ .Release.Namespace }}.svc:9191{{ end }}

Nothing asks them yet. Wirings for sidecars, gateways, waypoints and plain Envoy are beside the
chart's source, in deploy/kubernetes/overlays and deploy/envoy. They name the services as
rls.tollhouse.svc.cluster.local and authz.tollhouse.svc.cluster.local: install into namespace
tollhouse, or change the names there.
"""

VALUES_ABOUT = """
Values of the chart. values.schema.json says what each may be; a name that is not here is refused.
"""


def files() -> Mapping[str, str]:
    """File name below `deploy/helm/tollhouse/` → its text."""
    metadata = {
        "apiVersion": "v2",
        "name": "tollhouse",
        "description": "Rate limits and external authorization for Envoy and Istio",
        "type": "application",
        "version": VERSION,
        "appVersion": VERSION,
        "kubeVersion": ">=1.27.0-0",
    }
    templates = {
        f"templates/{name}": template(room.about, room.parts, room.switch)
        for name, room in rooms(Templated(knobs())).items()
    }
    return {
        "Chart.yaml": comment(HEADER) + as_yaml([metadata], start=False),
        "values.yaml": comment(HEADER + VALUES_ABOUT) + as_yaml([nested(knobs())], start=False),
        "values.schema.json": json.dumps(schema(knobs()), indent=1) + "\n",
        "templates/_helpers.tpl": HELPERS,
        "templates/NOTES.txt": NOTES,
        **templates,
    }
