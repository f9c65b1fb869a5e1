"""
The wire definitions of the services we speak, and their generated twins.

Every `.proto` here is ours: Envoy's packages, message names and field numbers, trimmed to the
fields we read or write. `python -m protos.generate` writes the `_pb2` files beside them;
`python -m protos.generate --check` says whether they are current. Nobody edits those by hand.
"""
