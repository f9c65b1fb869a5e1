"""
The environment → one frozen dataclass, or every malformed value at once.

A service declares its settings as dataclass fields made by `setting`; the variable's name is the
field's in upper case unless `env` gives another. Nothing else in the project reads the environment.
"""

from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from typing import Any, TypeVar

from serving.problems import ConfigError, Place, Problem

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Variable:
    """How one setting is read: variable names (the first is ours), parser, meaning."""

    names: tuple[str, ...]
    parse: Callable[[str], Any]
    meaning: str
    secret: bool


def setting(
    default: T,
    parse: Callable[[str], T],
    meaning: str,
    *,
    env: tuple[str, ...] = (),
    secret: bool = False,
) -> T:
    """
    Declare a dataclass field that is read from the environment.

    Args:
        default: the value when the variable is unset.
        parse: text → value; raises ValueError whose text says what is accepted.
        meaning: one line for the operator.
        env: variable names; by default the field's own name in upper case.
        secret: shown as `***`.
    """
    variable = Variable(env, parse, meaning, secret)
    declared: T = field(default=default, metadata={"variable": variable})
    return declared


def read_settings(kind: type[T], environment: Mapping[str, str]) -> T:
    """
    Read every setting of `kind` from the environment.

    Raises:
        ConfigError: a problem for each malformed variable, naming it, what was found and what
            is accepted.
    """
    values: dict[str, Any] = {}
    given_as: dict[str, str] = {}
    problems: list[Problem] = []
    for each in _declared(kind):
        variable: Variable = each.metadata["variable"]
        for name in names_of(each):
            if name not in environment:
                continue
            found = environment[name]
            try:
                value = variable.parse(found)
            except ValueError as error:
                shown = "***" if variable.secret else repr(found)
                message = f"found {shown}; accepted: {error}"
                problems.append(Problem(Place("environment", 0, 0, name), message))
                continue
            other = given_as.setdefault(each.name, name)
            if values.setdefault(each.name, value) != value:
                message = f"contradicts {other}, which is another name of it"
                problems.append(Problem(Place("environment", 0, 0, name), message))
    if problems:
        raise ConfigError(problems)
    return kind(**values)


def shown_settings(settings: Any) -> dict[str, str]:
    """Every setting as a line of the log may show it: as the environment has it, no secrets."""
    shown = {}
    for each in _declared(type(settings)):
        value = getattr(settings, each.name)
        secret = each.metadata["variable"].secret and value
        shown[names_of(each)[0]] = "***" if secret else as_text(value)
    return shown


def as_text(value: Any) -> str:
    """A value as one would write it into the environment; every float here is a duration."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}s"
    if isinstance(value, tuple):
        return ",".join("=".join(x) if isinstance(x, tuple) else str(x) for x in value)
    return str(value)


def names_of(declared: "Field[Any]") -> tuple[str, ...]:
    variable: Variable = declared.metadata["variable"]
    return variable.names or (declared.name.upper(),)


def _declared(kind: Any) -> "list[Field[Any]]":
    return [each for each in fields(kind) if "variable" in each.metadata]
