"""
The verdict: DENY before ALLOW, and no ALLOW policy at all allows everything.

Istio's order (`istio-policy.md` 1.4): any matching DENY rule refuses; then, if an enforced ALLOW
policy governs the workload, one of its rules must match. AUDIT only logs, dry run decides
nothing and turns no default deny on, and CUSTOM has decided already: it is why we are asked.

Documents are compiled once, at load, to closures over plain values; a request meets no document.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from authz.attachment import Workload
from authz.policies.attributes import Scope
from authz.policies.authorization_policy import Action, AuthorizationPolicy
from authz.policies.checks import compile_rule
from authz.policies.subject import Check, describe
from authz.policies.trust_domains import TrustDomains
from authz.policy_file import PolicyConfiguration, select
from authz.request import Allow, Deny, JwtIdentity, Reason, Request, Verdict

__all__ = ("Policy", "TrustDomains", "compile_policy")

ALLOWED = Allow()
NOT_ALLOWED = Deny(403, Reason.NO_POLICY_ALLOWS)


@dataclass(frozen=True, slots=True)
class Policy:
    """What the documents of one workload make of a request."""

    denies: tuple[tuple[Check, Deny], ...]
    allows: tuple[tuple[Check, Allow], ...] | None
    """None without an enforced ALLOW policy: then nothing has to match."""

    def decide(self, request: Request, identity: JwtIdentity | None) -> Verdict:
        """Judge a request; `identity` is its verified token, if it has one."""
        allows = self.allows
        if allows is None and not self.denies:
            return ALLOWED
        subject = describe(request, identity)
        for matches, deny in self.denies:
            if matches(subject):
                return deny
        if allows is None:
            return ALLOWED
        for matches, allow in allows:
            if matches(subject):
                return allow
        return NOT_ALLOWED


def compile_policy(
    configuration: PolicyConfiguration, workload: Workload, trust: TrustDomains
) -> Policy:
    """Compile what governs the workload."""
    enforced = sorted(
        (one for one in select(configuration, workload).authorization_policies if not one.dry_run),
        key=_istio_name,
    )
    allowing = [policy for policy in enforced if policy.action is Action.ALLOW]
    denying = [policy for policy in enforced if policy.action is Action.DENY]
    return Policy(
        denies=tuple(
            (check, Deny(403, Reason.DENIED_BY_POLICY, policy.full_name))
            for policy in denying
            for check in _checks(policy, trust)
        ),
        allows=tuple(
            (check, Allow(policy=policy.full_name))
            for policy in allowing
            for check in _checks(policy, trust)
        )
        if allowing
        else None,
    )


def _istio_name(policy: AuthorizationPolicy) -> str:
    """Envoy asks policies in the order of these names; it settles which one is named."""
    return f"ns[{policy.attachment.namespace}]-policy[{policy.attachment.name}]"


def _checks(policy: AuthorizationPolicy, trust: TrustDomains) -> Iterator[Check]:
    scope = Scope(policy.attachment.namespace, trust)
    return (compile_rule(rule, scope) for rule in policy.rules)
