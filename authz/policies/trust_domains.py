"""
The mesh's trust domain and its aliases, and what they make of an identity in a policy.

During a migration a mesh answers to several trust domains; a policy that names one of them means
all (Istio, `pilot/pkg/security/trustdomain/bundle.go`).
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

LOCAL = "cluster.local"
"""In a principal: whatever this mesh's trust domains are."""

IDENTITY_PARTS = 5
"""`TRUST_DOMAIN/ns/NAMESPACE/sa/ACCOUNT`"""


class TrustDomains(NamedTuple):
    """MeshConfig's `trustDomain` and `trustDomainAliases`."""

    trust_domain: str
    aliases: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return (self.trust_domain, *self.aliases)

    def expand_principals(self, principals: Iterable[str]) -> tuple[str, ...]:
        """
        Write a principal of this mesh once for each trust domain.

        Principals of a foreign trust domain, of any (`*/ns/…`) and of another shape stay as they
        are. `cluster.local` stands for this mesh even if no trust domain has that name; the
        literal then matches no longer.
        """
        return tuple(dict.fromkeys(name for one in principals for name in self._expand(one)))

    def expand_names(self, names: Iterable[str]) -> tuple[str, ...]:
        """All trust domains in place of one of them; here `cluster.local` is a plain name."""
        known = self.names
        return tuple(
            dict.fromkeys(n for name in names for n in (known if name in known else [name]))
        )

    def _expand(self, principal: str) -> Iterator[str]:
        parts = principal.split("/")
        domain, rest = parts[0], "/".join(parts[1:])
        if len(parts) != IDENTITY_PARTS or domain == "*" or not self._is_ours(domain):
            yield principal
            return
        for name in self.names:
            yield principal if _has_suffix(name, domain) else f"{name}/{rest}"

    def _is_ours(self, domain: str) -> bool:
        return domain == LOCAL or any(
            domain == name
            or _has_prefix(domain, name)
            or _has_prefix(name, domain)
            or _has_suffix(domain, name)
            or _has_suffix(name, domain)
            for name in self.names
        )


def _has_prefix(text: str, pattern: str) -> bool:
    return pattern.endswith("*") and text.startswith(pattern[:-1])


def _has_suffix(text: str, pattern: str) -> bool:
    return pattern.startswith("*") and text.endswith(pattern[1:])
