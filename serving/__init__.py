"""
Being a process that answers gRPC calls; nothing here knows what the answers mean.

call           the seam: request body in, response body out; `Call`, `Status`, `RpcError`
grpcio_engine  mounts a method table on grpcio
health         component states → grpc.health.v1 and readiness
admin          the second port: /healthz, /readyz, /metrics
process        starts the parts in order, waits for a signal, drains, stops them in reverse
settings       the environment → one frozen dataclass, or every error at once
documents      YAML that remembers its lines; problems that name file, line and key
reload         watch files → parse all → swap one reference; the last good one keeps serving
logs           structured lines
"""
