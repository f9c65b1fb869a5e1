"""
The external authorization service: who may pass.

One request: `codec` decodes a CheckRequest into a `request.Request` → `tokens` finds and verifies
its token (awaits only `keys` that are not here yet) → `policies` judges it → `codec` encodes
`Allow` or `Deny`. `service` is that journey; `__main__` puts the parts together.

`policy_file` reads Istio's documents: which are ours (`document_kind`), their names (`metadata`),
whom they govern (`attachment`).
"""
