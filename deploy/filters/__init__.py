"""Pieces of Envoy's filter configuration, typed; `deploy.wiring` has the two main filters."""
