"""Names and ports that objects of different files must agree on."""

from deploy.wiring import Service

HOME = "tollhouse"
"""The namespace of both services."""

DOMAIN = "cluster.local"
RLS_PORT = 8081
AUTHZ_PORT = 9191
PROVIDER = "tollhouse"
"""The extension provider's name in MeshConfig, and in the CUSTOM policies that use it."""

GATEWAYS = "istio-system"
INGRESS = {"istio": "ingressgateway"}
EGRESS = {"istio": "egressgateway"}
INGRESS_IDENTITY = f"spiffe://{DOMAIN}/ns/{GATEWAYS}/sa/istio-ingressgateway-service-account"

WORKLOAD_NAMESPACE = "shop"
WORKLOAD_LABELS = {"app": "httpbin"}
WORKLOAD_PORT = 8080
"""The container's port: what a listener match means by portNumber."""
WORKLOAD_SERVICE_PORT = 8000
"""The Service's port: what an inbound virtual host is called by."""


def host(name: str, namespace: str = HOME) -> str:
    return f"{name}.{namespace}.svc.{DOMAIN}"


def service(name: str, port: int) -> Service:
    """A service of ours by the cluster name that istiod generates for it."""
    return Service(f"outbound|{port}||{host(name)}", host(name))


def rls() -> Service:
    return service("rls", RLS_PORT)


def authz() -> Service:
    return service("authz", AUTHZ_PORT)
