"""
One RequestAuthentication document → its rules, or every problem in it.

Refused is what Istio's webhook or its CRD refuses (the two differ), and besides: header names
that no header can have, a key address over plain http unless that was asked for, `presence:
REQUIRED`, which Istio's own schema has and its code does not heed.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from authz.attachment import ATTACHMENT_KEYS, Attachment, read_attachment
from authz.metadata import annotation
from authz.tokens.jwt_rule import JwtRule
from authz.tokens.jwt_rule_reader import read_jwt_rule
from serving.documents import Node, elements, fields
from serving.problems import Problems

DOCUMENT_KEYS = ("apiVersion", "kind", "metadata", "spec", "status")
DRY_RUN = "istio.io/dry-run"
MAX_RULES = 4096


@dataclass(frozen=True, slots=True)
class RequestAuthentication:
    """Which tokens a workload takes, and whose. It demands none: that is for a policy to do."""

    attachment: Attachment
    jwt_rules: tuple[JwtRule, ...]


def read_request_authentication(
    document: Node, problems: Problems, *, allow_http: bool = False
) -> RequestAuthentication:
    """
    Read a document whose `kind` and `apiVersion` are known.

    Args:
        document: the whole document.
        problems: gets everything that is wrong, each with file, line and key.
        allow_http: whether keys may come over plain http (setting `JWKS_ALLOW_HTTP`).
    """
    entries = fields(document, problems, DOCUMENT_KEYS)
    _refuse_dry_run(document, problems)
    spec: Mapping[str, Node] = {}
    if "spec" in entries:
        spec = fields(entries["spec"], problems, (*ATTACHMENT_KEYS, "jwtRules"))
    attachment = read_attachment(document, spec, problems)
    rules = elements(spec["jwtRules"], problems) if "jwtRules" in spec else ()
    if len(rules) > MAX_RULES:
        problems.add(spec["jwtRules"].place, f"{len(rules)} rules; at most {MAX_RULES}")
    return RequestAuthentication(
        attachment, tuple(read_jwt_rule(rule, problems, allow_http=allow_http) for rule in rules)
    )


def _refuse_dry_run(document: Node, problems: Problems) -> None:
    node = annotation(document, DRY_RUN)
    if node is not None:
        message = "only an AuthorizationPolicy can be a dry run; leave the annotation out"
        problems.add(node.place, message)
