"""Example policies with keys of our own: only the issuer's rules change."""

import yaml

from deploy.local.mesh import ISSUER, POLICIES
from deploy.local.policies import with_keys_of
from deploy.local.tokens import Issuer

FOREIGN = """
spec:
  jwtRules:
    - issuer: https://elsewhere.example
      jwksUri: https://elsewhere.example/keys
"""


def test_only_the_keys_of_the_issuer_are_put_in(tmp_path):
    source, issuer = tmp_path / "source", Issuer(ISSUER)
    source.mkdir()
    (source / "foreign.yaml").write_text(FOREIGN)
    (source / "notes.txt").write_text("not a policy")
    with_keys_of(issuer, source, tmp_path / "target")
    assert [path.name for path in (tmp_path / "target").iterdir()] == ["foreign.yaml"]
    copied = yaml.safe_load((tmp_path / "target" / "foreign.yaml").read_text())
    assert copied == yaml.safe_load(FOREIGN)


def test_the_example_has_one_place_for_keys(tmp_path):
    issuer = Issuer(ISSUER)
    with_keys_of(issuer, POLICIES, tmp_path / "target")
    for file in POLICIES.glob("*.yaml"):
        before = list(yaml.safe_load_all(file.read_text()))
        after = list(yaml.safe_load_all((tmp_path / "target" / file.name).read_text()))
        (rule,) = after[0]["spec"]["jwtRules"]
        assert rule.pop("jwks") == issuer.key_set()
        assert before[0]["spec"]["jwtRules"][0].pop("jwksUri").startswith("https://")
        assert after == before
