"""From the two services to a mesh: filter configuration, manifests, the local mesh, the demo."""
