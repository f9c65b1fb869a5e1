"""The Kubernetes and Istio objects of `deploy/`, built once and rendered for kustomize and Helm."""
