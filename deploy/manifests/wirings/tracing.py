"""Traces: the proxies' spans, and in them the time that both services take, in Jaeger."""

from deploy.manifests.names import host
from deploy.manifests.objects import Manifest, as_yaml, made, selected
from deploy.manifests.overlay import Overlay
from deploy.manifests.pods import NO_PRIVILEGES, NOT_ROOT
from deploy.manifests.sheet import Sheet

SPACE = "tracing"
PROVIDER = "collector"
GRPC_PORT, HTTP_PORT, UI_PORT, HEALTH_PORT = 4317, 4318, 16686, 13133
COLLECTOR_IMAGE = "otel/opentelemetry-collector:0.140.0"
JAEGER_IMAGE = "jaegertracing/jaeger:2.12.0"

ABOUT = """
Traces of the mesh by way of an OpenTelemetry collector to Jaeger, both in namespace tracing.
Needs mesh-config/tracing-provider.yaml in istiod's configuration.
Apply: kubectl apply -k deploy/kubernetes/overlays/tracing
Look: kubectl -n tracing port-forward svc/jaeger 16686
"""

TELEMETRY_ABOUT = """
Mesh-wide (namespace istio-system): one request in a hundred; 100 while looking for something.
The proxy's calls to rls and authz are spans of the request's trace ("async outbound|8081||rls…"):
they show what each service adds, as the proxy sees it.
"""

COLLECTOR_ABOUT = """
collector: takes OTLP from the proxies, hands it on in batches; a Jaeger that is away costs traces,
  never requests. jaeger: all in one, in memory; for trying. Point the exporter at yours.
"""

PROVIDER_ABOUT = """
A part of MeshConfig, as a values file of the istiod chart (not applied by kubectl).
defaultProviders stays as it is: the Telemetry object names this one.
"""

CONFIG = {
    "receivers": {
        "otlp": {
            "protocols": {
                "grpc": {"endpoint": f"0.0.0.0:{GRPC_PORT}"},
                "http": {"endpoint": f"0.0.0.0:{HTTP_PORT}"},
            }
        }
    },
    "processors": {
        "memory_limiter": {"check_interval": "1s", "limit_mib": 200},
        "batch": {},
    },
    "exporters": {
        "otlp/jaeger": {"endpoint": f"jaeger.{SPACE}:{GRPC_PORT}", "tls": {"insecure": True}}
    },
    "extensions": {"health_check": {"endpoint": f"0.0.0.0:{HEALTH_PORT}"}},
    "service": {
        "extensions": ["health_check"],
        "pipelines": {
            "traces": {
                "receivers": ["otlp"],
                "processors": ["memory_limiter", "batch"],
                "exporters": ["otlp/jaeger"],
            }
        },
    },
}


def telemetry() -> Manifest:
    tracing = [{"providers": [{"name": PROVIDER}], "randomSamplingPercentage": 1.0}]
    spec = {"tracing": tracing}
    return made("telemetry.istio.io/v1", "Telemetry", "tracing", "istio-system", spec=spec)


def provider() -> Manifest:
    opentelemetry = {"service": host("collector", SPACE), "port": GRPC_PORT}
    providers = [{"name": PROVIDER, "opentelemetry": opentelemetry}]
    return {"meshConfig": {"enableTracing": True, "extensionProviders": providers}}


def collector() -> list[Manifest]:
    config = as_yaml([CONFIG], start=False)
    return [
        made("v1", "Namespace", SPACE, None, labels={"istio-injection": "disabled"}),
        made("v1", "ConfigMap", "collector", SPACE, data={"config.yaml": config}),
        *_served(
            "collector",
            COLLECTOR_IMAGE,
            {"grpc-otlp": GRPC_PORT, "http-otlp": HTTP_PORT},
            args=["--config=/etc/otel/config.yaml"],
            mounted="/etc/otel",
        ),
        *_served("jaeger", JAEGER_IMAGE, {"http-ui": UI_PORT, "grpc-otlp": GRPC_PORT}),
    ]


def _served(
    name: str,
    image: str,
    ports: dict[str, int],
    *,
    args: list[str] | None = None,
    mounted: str = "",
) -> list[Manifest]:
    container: Manifest = {
        "name": name,
        "image": image,
        "ports": [{"name": each, "containerPort": port} for each, port in ports.items()],
        "resources": {
            "requests": {"cpu": "50m", "memory": "256Mi"},
            "limits": {"memory": "512Mi"},
        },
        "securityContext": dict(NO_PRIVILEGES),
    }
    pod: Manifest = {"securityContext": dict(NOT_ROOT), "containers": [container]}
    if args:
        container["args"] = args
    if mounted:
        container["volumeMounts"] = [{"name": "config", "mountPath": mounted, "readOnly": True}]
        pod["volumes"] = [{"name": "config", "configMap": {"name": name}}]
    labels = {"app": name}
    spec = {
        "replicas": 1,
        "selector": selected(labels),
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }
    service = {
        "selector": labels,
        "ports": [{"name": each, "port": port, "targetPort": each} for each, port in ports.items()],
    }
    return [
        made("apps/v1", "Deployment", name, SPACE, spec=spec),
        made("v1", "Service", name, SPACE, spec=service),
    ]


def overlay() -> Overlay:
    return Overlay(
        "tracing",
        ABOUT,
        {
            "collector.yaml": Sheet(COLLECTOR_ABOUT, collector()),
            "telemetry.yaml": Sheet(TELEMETRY_ABOUT, [telemetry()]),
        },
        beside={"mesh-config/tracing-provider.yaml": Sheet(PROVIDER_ABOUT, [provider()])},
    )
