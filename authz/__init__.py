"""
The external authorization service: who may pass.

One request: `codec` decodes a CheckRequest into a `request.Request` → `authenticate` finds and
verifies its tokens (`token`, `keys`, `jwks`; awaits only keys that are not here yet) → `policy`
evaluates Istio's documents, compiled at load (`policy_file`, `rules`, `conditions`, `patterns`)
→ `codec` encodes `Allow` or `Deny`. `service` is that journey; `__main__` puts the parts together.
"""
