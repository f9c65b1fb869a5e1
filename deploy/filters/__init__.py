"""Pieces of Envoy's filter configuration, typed; `deploy.wiring` puts the two main ones together."""
