"""
Whether an object is what its API knows: every field there is, of its type, and none that is not.

Kubernetes' own kinds are compared with the models of its client, which are made from the API's
schemas; all others with tests/cases/deploy/shapes.yaml.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from kubernetes.client import models

SCALARS = {"str": str, "int": int, "bool": bool, "float": (int, float)}
ANYTHING = ("object", "IntOrString")
CORE = {"v1": "V1"}
SHAPES = Path(__file__).parents[2] / "cases" / "deploy" / "shapes.yaml"


def problems(body: Mapping[str, Any]) -> list[str]:
    """What is wrong with an object; empty if nothing is."""
    kind = body["kind"]
    group, _, version = body["apiVersion"].rpartition("/")
    model = getattr(models, f"{version[0].upper()}{version[1:]}{kind}", None)
    if model is not None and (not group or group in GROUPS):
        return list(_of_model(body, model.__name__, kind))
    shape = _shapes().get(f"{group}/{kind}")
    if shape is None:
        return [f"{kind}: no schema for {body['apiVersion']}"]
    if version not in shape["versions"]:
        return [f"{kind}: version {version}"]
    metadata = list(_of_model(body["metadata"], "V1ObjectMeta", f"{kind}.metadata"))
    rest = {name: value for name, value in body.items() if name not in ENVELOPE}
    return metadata + list(_of_shape(rest, shape["fields"], kind))


GROUPS = ("apps", "autoscaling", "policy", "networking.k8s.io")
ENVELOPE = ("apiVersion", "kind", "metadata")


def _of_model(value: Any, kind: str, where: str) -> Iterator[str]:
    if kind in SCALARS:
        if not isinstance(value, SCALARS[kind]) or (isinstance(value, bool) and kind != "bool"):
            yield f"{where}: {value!r} is no {kind}"
    elif listed := re.fullmatch(r"[Ll]ist\[(.+)\]", kind):
        yield from _of_list(value, listed[1], where)
    elif mapped := re.fullmatch(r"[Dd]ict[(\[]str, (.+)[)\]]", kind):
        for name, item in value.items():
            yield from _of_model(item, mapped[1], f"{where}.{name}")
    elif kind not in ANYTHING and kind != "datetime":
        yield from _fields(value, getattr(models, kind), where)


def _of_list(value: Any, kind: str, where: str) -> Iterator[str]:
    if not isinstance(value, list):
        yield f"{where}: {value!r} is no list"
        return
    for index, item in enumerate(value):
        yield from _of_model(item, kind, f"{where}[{index}]")


def _fields(value: Any, model: Any, where: str) -> Iterator[str]:
    if not isinstance(value, Mapping):
        yield f"{where}: {value!r} is no {model.__name__}"
        return
    names = {spelt: name for name, spelt in model.attribute_map.items()}
    for spelt, item in value.items():
        if spelt not in names:
            yield f"{where}: unknown field {spelt}"
        else:
            yield from _of_model(item, model.openapi_types[names[spelt]], f"{where}.{spelt}")
    try:
        model(**{names[spelt]: item for spelt, item in value.items() if spelt in names})
    except ValueError as error:  # a required field is missing
        yield f"{where}: {error}"


@cache
def _shapes() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(SHAPES.read_text())["kinds"]
    return found


def _of_shape(value: Any, shape: Any, where: str) -> Iterator[str]:
    """
    Compare with the notation of shapes.yaml.

    A map: these fields, `name!` one that must be there, `*` for any other name. A list of one:
    a list of such. A text: the name of a type, or the values that there are, as `A|B`.
    """
    if isinstance(shape, list):
        if not isinstance(value, list):
            yield f"{where}: {value!r} is no list"
            return
        for index, item in enumerate(value):
            yield from _of_shape(item, shape[0], f"{where}[{index}]")
    elif isinstance(shape, Mapping):
        yield from _of_map(value, shape, where)
    elif shape != "any" and not _is(value, shape):
        yield f"{where}: {value!r} is not {shape}"


def _of_map(value: Any, shape: Mapping[str, Any], where: str) -> Iterator[str]:
    if not isinstance(value, Mapping):
        yield f"{where}: {value!r} is no map"
        return
    fields = {name.removesuffix("!"): kind for name, kind in shape.items()}
    for name in shape:
        if name.endswith("!") and name.removesuffix("!") not in value:
            yield f"{where}: {name.removesuffix('!')} is missing"
    for name, item in value.items():
        if name in fields:
            yield from _of_shape(item, fields[name], f"{where}.{name}")
        elif "*" in fields:
            yield from _of_shape(item, fields["*"], f"{where}.{name}")
        else:
            yield f"{where}: unknown field {name}"


def _is(value: Any, kind: str) -> bool:
    if kind == "duration":
        return isinstance(value, str) and bool(re.fullmatch(r"(\d+(\.\d+)?(h|m|s|ms))+", value))
    types: dict[str, Any] = {"string": str, "integer": int, "boolean": bool, "number": (int, float)}
    if kind in types:
        return isinstance(value, types[kind]) and (kind == "boolean" or not isinstance(value, bool))
    return value in kind.split("|")
