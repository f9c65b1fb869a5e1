"""The operator's example policies, with the keys of an issuer made on the spot."""

from pathlib import Path

import yaml

from deploy.local.tokens import Issuer


def with_keys_of(issuer: Issuer, source: Path, target: Path) -> None:
    """
    Copy policy documents; rules of this issuer get its key set inline instead of `jwksUri`.

    Args:
        issuer: whose tokens the copy accepts.
        source: folder of YAML files.
        target: folder for the copies, made here.
    """
    target.mkdir()
    for file in sorted(source.glob("*.yaml")):
        documents = list(yaml.safe_load_all(file.read_text()))
        for document in documents:
            for rule in document["spec"].get("jwtRules", ()):
                if rule["issuer"] == issuer.name:
                    del rule["jwksUri"]
                    rule["jwks"] = issuer.key_set()
        (target / file.name).write_text(yaml.safe_dump_all(documents, sort_keys=False))
