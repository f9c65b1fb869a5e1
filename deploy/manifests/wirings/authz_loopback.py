"""authz as a container of the workload's pod behind a provider, on the loopback address."""

from deploy.manifests.names import AUTHZ_PORT, WORKLOAD_LABELS, WORKLOAD_NAMESPACE
from deploy.manifests.objects import Manifest, made, seconds, selected
from deploy.manifests.overlay import Overlay
from deploy.manifests.sheet import Sheet
from deploy.manifests.wirings import authz_provider
from deploy.wiring import EXT_AUTHZ_TIMEOUT, ON_ERROR

LOCAL_HOST = "authz.tollhouse.internal"
LOCAL_PROVIDER = "pod-local-authz"
"""No provider's name may be the beginning of another's: their filters would hold for both."""

ABOUT = """
authz in the workload's own pod, on 127.0.0.1, through an extension provider: policies stay CUSTOM.
The container: as in overlays/sidecar-containers, with GRPC_HOST 127.0.0.1 and GRPC_PORT 9191 in
place of GRPC_UDS.
Needs mesh-config/extension-provider.yaml in istiod's configuration before the policy.
Apply: kubectl apply -k deploy/kubernetes/overlays/authz-loopback
Not allowed: 403; a bad token: 401. No answer from authz within 0.5 s, or an error: 503.
"""

ENTRY_ABOUT = """
resolution STATIC, endpoint 127.0.0.1: each proxy asks the container beside it.
protocol GRPC: any other, and every call fails.
exportTo ".": pods of other namespaces have no authz beside them.
"""

PROVIDER_ABOUT = """
A part of MeshConfig, as a values file of the istiod chart (not applied by kubectl); see
overlays/authz-provider for the fields. One provider a workload: not together with that one.
"""

POLICY_ABOUT = """
See overlays/authz-provider.
"""


def entry() -> Manifest:
    spec = {
        "hosts": [LOCAL_HOST],
        "exportTo": ["."],
        "location": "MESH_INTERNAL",
        "resolution": "STATIC",
        "ports": [{"number": AUTHZ_PORT, "name": "grpc-authz", "protocol": "GRPC"}],
        "endpoints": [{"address": "127.0.0.1"}],
    }
    api = "networking.istio.io/v1"
    return made(api, "ServiceEntry", "authz-in-the-pod", WORKLOAD_NAMESPACE, spec=spec)


def provider() -> Manifest:
    grpc = {
        "service": f"{WORKLOAD_NAMESPACE}/{LOCAL_HOST}",
        "port": AUTHZ_PORT,
        "timeout": seconds(EXT_AUTHZ_TIMEOUT),
        "failOpen": False,
        "statusOnError": str(ON_ERROR.value),
    }
    providers = [{"name": LOCAL_PROVIDER, "envoyExtAuthzGrpc": grpc}]
    return {"meshConfig": {"extensionProviders": providers}}


def policy() -> Manifest:
    spec = {
        "selector": selected(WORKLOAD_LABELS),
        "action": "CUSTOM",
        "provider": {"name": LOCAL_PROVIDER},
        "rules": [{}],
    }
    kind = "AuthorizationPolicy"
    api = "security.istio.io/v1"
    return made(api, kind, "ask-authz-in-the-pod", WORKLOAD_NAMESPACE, spec=spec)


def overlay() -> Overlay:
    return Overlay(
        "authz-loopback",
        ABOUT,
        {
            "service-entry.yaml": Sheet(ENTRY_ABOUT, [entry()]),
            "envoyfilter.yaml": Sheet(authz_provider.MERGE_ABOUT, [authz_provider.manifest()]),
            "policy.yaml": Sheet(POLICY_ABOUT, [policy()]),
        },
        beside={"mesh-config/extension-provider.yaml": Sheet(PROVIDER_ABOUT, [provider()])},
    )
