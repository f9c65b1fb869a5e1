"""
One AuthorizationPolicy document → the nouns it states, or every reason why it is refused.

Two validators stand before a document in a real cluster: Istio's webhook and the CRD's schema in
the API server. What either refuses is refused here; what both would take and istiod then drops
without a word is refused too.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from authz.attachment import ATTACHMENT_KEYS, Attachment, read_attachment
from authz.metadata import annotation
from authz.policies.rules import Rule, read_rules
from serving.documents import Node, choice, fields, string
from serving.problems import Problems
from serving.values import FALSE, TRUE

DOCUMENT_KEYS = ("apiVersion", "kind", "metadata", "spec", "status")
SPEC_KEYS = (*ATTACHMENT_KEYS, "action", "provider", "rules")
DRY_RUN = "istio.io/dry-run"

IDENTITY_FIELDS = frozenset(
    ("principals", "requestPrincipals", "namespaces", "serviceAccounts", "trustDomains")
)
IDENTITY_KEYS = frozenset(
    ("source.principal", "source.namespace", "source.serviceAccount", "source.trustDomain")
)
TOKEN_KEYS = "request.auth."  # noqa: S105 - a prefix, not a secret
"""What a CUSTOM policy cannot ask about: it is judged before the token is."""


class Action(StrEnum):
    """What happens to a request that a rule matches."""

    ALLOW = "ALLOW"
    DENY = "DENY"
    AUDIT = "AUDIT"
    CUSTOM = "CUSTOM"


ACTIONS = tuple(action.value for action in Action)
"""As text, in the order of Istio's API; the first is the default."""


@dataclass(frozen=True, slots=True)
class AuthorizationPolicy:
    """One document."""

    attachment: Attachment
    action: Action
    rules: tuple[Rule, ...]
    """Any of them may match; an ALLOW policy without rules allows nothing."""
    provider: str
    """Who is asked under CUSTOM; empty otherwise."""
    dry_run: bool
    """Never decides, and turns no default deny on."""

    @property
    def full_name(self) -> str:
        return self.attachment.full_name


def read_authorization_policy(document: Node, problems: Problems) -> AuthorizationPolicy:
    """Read one document whose apiVersion and kind are known to be Istio's."""
    spec = _read_spec(document, problems)
    action = Action(choice(spec["action"], problems, ACTIONS)) if "action" in spec else Action.ALLOW
    return AuthorizationPolicy(
        attachment=read_attachment(document, spec, problems),
        action=action,
        rules=_read_rules(document, spec, action, problems),
        provider=_read_provider(document, spec, action, problems),
        dry_run=_read_dry_run(document, action, problems),
    )


def _read_spec(document: Node, problems: Problems) -> Mapping[str, Node]:
    found = fields(document, problems, DOCUMENT_KEYS)
    return fields(found["spec"], problems, SPEC_KEYS) if "spec" in found else {}


def _read_rules(
    document: Node, spec: Mapping[str, Node], action: Action, problems: Problems
) -> tuple[Rule, ...]:
    node = spec.get("rules")
    rules = read_rules(node, problems) if node else ()
    if not rules and action in (Action.DENY, Action.CUSTOM) and (not node or node.kind == "list"):
        message = f"{action} without rules never matches; a rule {{}} matches every request"
        problems.add((node or document).place, message)
    if action is Action.CUSTOM:
        _check_custom(rules, problems)
    return rules


def _read_provider(
    document: Node, spec: Mapping[str, Node], action: Action, problems: Problems
) -> str:
    if "provider" not in spec:
        if action is Action.CUSTOM:
            problems.add(document.place, "CUSTOM needs provider.name, an extensionProvider's name")
        return ""
    node = spec["provider"]
    if action is not Action.CUSTOM:
        problems.add(node.place, f"only for action CUSTOM; the action is {action}")
    provider = fields(node, problems, ("name",))
    name = string(provider["name"], problems) if "name" in provider else ""
    if not name and action is Action.CUSTOM and node.kind == "map":
        problems.add(node.place, "name is missing: that of an extensionProvider in MeshConfig")
    return name


def _read_dry_run(document: Node, action: Action, problems: Problems) -> bool:
    node = annotation(document, DRY_RUN)
    if node is None:
        return False
    if action not in (Action.ALLOW, Action.DENY):
        problems.add(node.place, f"only for actions ALLOW and DENY; the action is {action}")
        return False
    value = string(node, problems)
    if node.kind == "str" and value not in TRUE | FALSE:
        message = f"found {node.shown}; accepted: {', '.join(sorted(TRUE | FALSE))}"
        problems.add(node.place, message)
    return value in TRUE


def _check_custom(rules: tuple[Rule, ...], problems: Problems) -> None:
    for rule in rules:
        for condition in rule.conditions():
            key = condition.key
            if key in IDENTITY_FIELDS | IDENTITY_KEYS or key.startswith(TOKEN_KEYS):
                problems.add(condition.place, f"{key} cannot be asked about with action CUSTOM")
