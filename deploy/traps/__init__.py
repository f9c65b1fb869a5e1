"""
Mistakes in mesh manifests that nobody else reports, found in the rendered files.

istiod passes most of them on; the proxy then refuses its whole configuration, or limits nothing, or
asks nobody, and says so nowhere. Each check here names one that was seen on a real istiod or Envoy.
"""

from collections.abc import Iterator, Sequence

from deploy.traps import authorization, clusters, limits, matches, types
from deploy.traps.documents import Document, World, read, world_of

CHECKS = (*types.CHECKS, *matches.CHECKS, *limits.CHECKS, *clusters.CHECKS, *authorization.CHECKS)

__all__ = ["CHECKS", "Document", "World", "found", "read", "world_of"]


def found(documents: Sequence[Document]) -> list[str]:
    """Every trap as a line: file, object, what is wrong and what happens because of it."""
    world = world_of(documents)
    return sorted({line for document in documents for line in _of(document, world)})


def _of(document: Document, world: World) -> Iterator[str]:
    for check in CHECKS:
        for message in check(document, world):
            yield f"{document}: {message}"
