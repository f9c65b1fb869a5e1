"""Which files there are, which documents they hold, and what became of each."""

import errno
import os
from pathlib import Path

import pytest

from authz.attachment import Workload
from authz.policy_file import PolicyConfiguration, find_policy_files, read_policies, select
from serving.problems import ConfigError
from serving.reload import File

POLICY = """
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: %s, namespace: %s}
"""
AUTHENTICATION = """
apiVersion: security.istio.io/v1beta1
kind: RequestAuthentication
metadata: {name: a, namespace: foo}
spec: {jwtRules: [{issuer: i, jwksUri: %s}]}
"""


def read(*texts: str) -> PolicyConfiguration:
    return read_policies([File(f"{number}.yaml", text) for number, text in enumerate(texts)])


def names(configuration: PolicyConfiguration) -> list[str]:
    return [policy.full_name for policy in configuration.authorization_policies]


def ignored(text: str) -> list[str]:
    return [str(problem) for problem in read(text).ignored]


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("")
    return path


def test_documents_of_all_files_are_read() -> None:
    both = read(
        POLICY % ("a", "foo") + "---" + POLICY % ("b", "foo"),
        AUTHENTICATION % "https://id.example/keys",
    )
    assert names(both) == ["foo/a", "foo/b"]
    (authentication,) = both.request_authentications
    assert authentication.attachment.full_name == "foo/a"
    assert [rule.issuer for rule in authentication.jwt_rules] == ["i"]
    assert both.ignored == ()


def test_problems_of_all_files_come_at_once_in_their_order() -> None:
    with pytest.raises(ConfigError) as caught:
        read("a: [", POLICY % ("B", "foo"), AUTHENTICATION % "ftp://id.example")
    assert [problem.place.file for problem in caught.value.problems] == [
        "0.yaml",
        "1.yaml",
        "2.yaml",
    ]


def test_keys_over_plain_http_are_for_the_setting_to_allow() -> None:
    file = File("a.yaml", AUTHENTICATION % "http://id.example/keys")
    with pytest.raises(ConfigError):
        read_policies([file])
    assert len(read_policies([file], allow_http=True).request_authentications) == 1


def test_the_same_name_may_be_used_by_both_kinds() -> None:
    both = read(POLICY % ("a", "foo"), AUTHENTICATION % "https://id.example/keys")
    assert names(both) == ["foo/a"]
    assert len(both.request_authentications) == 1


def test_the_same_name_twice_is_found_across_files() -> None:
    with pytest.raises(ConfigError) as caught:
        read(POLICY % ("a", "foo"), POLICY % ("a", "foo"))
    (problem,) = caught.value.problems
    assert str(problem) == (
        "1.yaml:2:1: AuthorizationPolicy foo/a is there twice; the first is at 0.yaml:2"
    )


@pytest.mark.parametrize("kind", ["List", "AuthorizationPolicyList"])
def test_items_of_a_list_are_read(kind: str) -> None:
    text = f"""
apiVersion: security.istio.io/v1
kind: {kind}
items:
- apiVersion: security.istio.io/v1
  kind: AuthorizationPolicy
  metadata: {{name: a, namespace: foo}}
- apiVersion: v1
  kind: ConfigMap
"""
    found = read(text)
    assert names(found) == ["foo/a"]
    assert [problem.message for problem in found.ignored] == [
        "ConfigMap of v1: not for this service"
    ]


def test_json_is_read() -> None:
    text = (
        '{"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy",\n'
        '\t"metadata": {"name": "a", "namespace": "foo"}, "spec": {"rules": [{}]}}'
    )
    assert names(read(text)) == ["foo/a"]


def test_what_kubectl_prints_is_read_as_it_is() -> None:
    text = """
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata:
  annotations:
    kubectl.kubernetes.io/last-applied-configuration: '{"kind":"AuthorizationPolicy"}'
  creationTimestamp: "2026-01-02T03:04:05Z"
  generation: 3
  labels: {team: shop}
  managedFields: [{manager: kubectl}]
  name: a
  namespace: foo
  ownerReferences: [{kind: Deployment}]
  resourceVersion: "123"
  uid: 0b0e1d7e-1111-2222-3333-444455556666
spec: {}
status: {observedGeneration: "3", conditions: []}
"""
    assert names(read(text)) == ["foo/a"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no documents in it"),
        ("# only a comment\n---\n", "no documents in it"),
        ("apiVersion: v1\nkind: Service", "Service of v1: not for this service"),
        (
            "apiVersion: security.istio.io/v1\nkind: PeerAuthentication",
            "PeerAuthentication of security.istio.io/v1: not for this service",
        ),
        (
            "apiVersion: policy.linkerd.io/v1alpha1\nkind: AuthorizationPolicy",
            "AuthorizationPolicy of policy.linkerd.io/v1alpha1: not for this service",
        ),
        ("resources: [a.yaml]", "no apiVersion and kind: not for this service"),
        ("kind: Kustomization", "no apiVersion and kind: not for this service"),
        ("- a\n- b", "no apiVersion and kind: not for this service"),
        ("apiVersion: 1\nkind: [a]", "no apiVersion and kind: not for this service"),
    ],
)
def test_what_is_not_for_us_is_named_with_the_reason(text: str, reason: str) -> None:
    assert ignored(text) == [f"0.yaml:1:1: {reason}"]


def test_what_governs_a_workload_is_selected() -> None:
    found = read(
        POLICY % ("a", "foo"),
        POLICY % ("b", "bar"),
        POLICY % ("c", "istio-system"),
        AUTHENTICATION % "https://id.example/keys",
        "kind: x",
    )
    of_foo = select(found, Workload("foo", {}, "istio-system"))
    assert names(of_foo) == ["foo/a", "istio-system/c"]
    assert of_foo.request_authentications == found.request_authentications
    of_bar = select(found, Workload("bar", {}, "istio-system"))
    assert names(of_bar) == ["bar/b", "istio-system/c"]
    assert of_bar.request_authentications == ()
    assert of_bar.ignored == found.ignored


def test_yaml_and_json_files_below_a_folder_are_found(tmp_path: Path) -> None:
    wanted = [
        touch(tmp_path / "a.yaml"),
        touch(tmp_path / "b.yml"),
        touch(tmp_path / "c.json"),
        touch(tmp_path / "deeper/and/d.yaml"),
    ]
    touch(tmp_path / "README.md")
    touch(tmp_path / ".hidden.yaml")
    touch(tmp_path / ".git/e.yaml")
    assert find_policy_files([tmp_path]) == wanted


def test_a_file_is_taken_whatever_its_name(tmp_path: Path) -> None:
    file = touch(tmp_path / "policies.txt")
    assert find_policy_files([file]) == [file]


def test_a_path_that_does_not_exist_holds_nothing(tmp_path: Path) -> None:
    assert find_policy_files([tmp_path / "not-here", tmp_path]) == []


def test_files_named_twice_are_read_once(tmp_path: Path) -> None:
    file = touch(tmp_path / "a.yaml")
    (tmp_path / "z.yaml").symlink_to(file)
    assert find_policy_files([tmp_path, file, tmp_path]) == [file]


def test_a_kubernetes_volume_is_read_once(tmp_path: Path) -> None:
    touch(tmp_path / "..2026_01_02/a.yaml")
    touch(tmp_path / "..2026_01_02/sub/b.yaml")
    (tmp_path / "..data").symlink_to("..2026_01_02")
    (tmp_path / "a.yaml").symlink_to("..data/a.yaml")
    (tmp_path / "sub").symlink_to("..data/sub")
    assert find_policy_files([tmp_path]) == [tmp_path / "a.yaml", tmp_path / "sub/b.yaml"]


def test_links_that_lead_in_circles_end(tmp_path: Path) -> None:
    file = touch(tmp_path / "one/a.yaml")
    (tmp_path / "one/up").symlink_to(tmp_path)
    (tmp_path / "one/self").symlink_to("self")
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    assert find_policy_files([tmp_path]) == [tmp_path / "loop.yaml", file]


def test_a_dangling_link_is_a_file_that_cannot_be_read_not_a_policy_less(tmp_path: Path) -> None:
    link = tmp_path / "a.yaml"
    link.symlink_to(tmp_path / "gone")
    assert find_policy_files([tmp_path]) == [link]


def test_a_folder_that_cannot_be_read_is_a_problem(tmp_path: Path) -> None:
    unreadable = tmp_path / ("a" * 300)
    with pytest.raises(ConfigError) as caught:
        find_policy_files([unreadable, tmp_path])
    (problem,) = caught.value.problems
    assert problem.place.file == str(unreadable)
    assert problem.message == os.strerror(errno.ENAMETOOLONG)  # name too long: holds for root, too
