"""
Policy files: which ones there are, which documents they hold, and what became of each.

Documents that are not for this service are no errors, so that a folder may hold whatever is
applied to the cluster, but every one is accounted for in `ignored`: a policy that is skipped
without a word is a policy that fails open.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from os.path import realpath
from pathlib import Path

from authz.attachment import Attachment, Workload
from authz.document_kind import Kind, classify, described
from authz.policies.authorization_policy import AuthorizationPolicy, read_authorization_policy
from authz.tokens.request_authentication import RequestAuthentication, read_request_authentication
from serving.documents import Node, elements, read
from serving.problems import Place, Problem, Problems
from serving.reload import File

SUFFIXES = (".yaml", ".yml", ".json")


@dataclass(frozen=True, slots=True)
class PolicyConfiguration:
    """All documents of all files."""

    authorization_policies: tuple[AuthorizationPolicy, ...] = ()
    request_authentications: tuple[RequestAuthentication, ...] = ()
    ignored: tuple[Problem, ...] = ()
    """What was found and not read, each with the reason."""


def find_policy_files(paths: Sequence[Path]) -> list[Path]:
    """
    The files among `paths` and the YAML and JSON files in its folders, deeper ones too.

    Hidden files and folders are left out, so that the `..data` links of a Kubernetes volume are
    not read twice. A path that does not exist holds nothing. Raises ConfigError for a folder that
    cannot be read: what it holds may be a DENY.
    """
    found: dict[str, Path] = {}
    problems = Problems()
    for path in paths:
        for file in _files_below(path, set(), problems):
            found.setdefault(realpath(file), file)
    problems.raise_any()
    return sorted(found.values())


def _files_below(path: Path, seen: set[str], problems: Problems) -> Iterator[Path]:
    try:
        shown = [entry for entry in sorted(path.iterdir()) if not entry.name.startswith(".")]
        entries = [(entry, entry.is_dir()) for entry in shown]
    except NotADirectoryError:
        yield path
        return
    except FileNotFoundError:
        return
    except OSError as error:
        problems.add(Place(str(path), 0, 0, ""), error.strerror or str(error))
        return
    seen.add(realpath(path))
    for entry, is_folder in entries:
        if is_folder:
            if realpath(entry) not in seen:  # a link may lead back up
                yield from _files_below(entry, seen, problems)
        elif entry.name.endswith(SUFFIXES):
            yield entry


def read_policies(files: Sequence[File], *, allow_http: bool = False) -> PolicyConfiguration:
    """
    Read every document. Raises ConfigError with every problem of every file.

    Args:
        files: the texts, each with the name that messages use.
        allow_http: whether the keys of a RequestAuthentication may come over plain http.
    """
    reading = _Reading(allow_http)
    for file in files:
        own = Problems()
        documents = read(file.name, file.text, own)
        if not documents and not own:
            reading.ignored.append(Problem(Place(file.name, 1, 1, ""), "no documents in it"))
        for problem in own:
            reading.problems.add(*problem)
        for document in documents:
            reading.take(document)
    reading.problems.raise_any()
    return PolicyConfiguration(
        tuple(reading.policies), tuple(reading.authentications), tuple(reading.ignored)
    )


def select(configuration: PolicyConfiguration, workload: Workload) -> PolicyConfiguration:
    """What of a configuration governs the workload."""
    policies, authentications = (
        configuration.authorization_policies,
        configuration.request_authentications,
    )
    return PolicyConfiguration(
        tuple(one for one in policies if one.attachment.applies_to(workload)),
        tuple(one for one in authentications if one.attachment.applies_to(workload)),
        configuration.ignored,
    )


@dataclass(slots=True)
class _Reading:
    """What has been read so far."""

    allow_http: bool
    problems: Problems = field(default_factory=Problems)
    policies: list[AuthorizationPolicy] = field(default_factory=list)
    authentications: list[RequestAuthentication] = field(default_factory=list)
    ignored: list[Problem] = field(default_factory=list)
    names: dict[tuple[Kind, str], Attachment] = field(default_factory=dict)

    def take(self, document: Node) -> None:
        """Read one document, and those inside it if it is a list."""
        kind = classify(document, self.problems)
        if kind is Kind.LIST:
            for item in elements(document.entries.get("items", document), self.problems):
                self.take(item)
        elif kind is Kind.AUTHORIZATION_POLICY:
            policy = read_authorization_policy(document, self.problems)
            self._note(kind, policy.attachment)
            self.policies.append(policy)
        elif kind is Kind.REQUEST_AUTHENTICATION:
            authentication = read_request_authentication(
                document, self.problems, allow_http=self.allow_http
            )
            self._note(kind, authentication.attachment)
            self.authentications.append(authentication)
        elif kind is Kind.OTHER:
            self._ignore(document)

    def _note(self, kind: Kind, attachment: Attachment) -> None:
        first = self.names.setdefault((kind, attachment.full_name), attachment)
        if first is not attachment and attachment.name:
            where = f"{first.place.file}:{first.place.line}"
            message = f"{kind} {attachment.full_name} is there twice; the first is at {where}"
            self.problems.add(attachment.place, message)

    def _ignore(self, document: Node) -> None:
        api_version, kind = described(document)
        what = f"{kind} of {api_version}" if api_version and kind else "no apiVersion and kind"
        self.ignored.append(Problem(document.place, f"{what}: not for this service"))
