"""The frame of a policy in TOML: a version, and rules that have a name, a decision and conditions (`when`).

A member that nobody knows is refused: what was misspelt must not be passed over, least of all in a condition.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import ConfigurationError

__all__ = ["Document", "Entry", "read_document", "refuse_others", "string", "strings"]

_MAX_RULES = 2000
_MAX_NAME = 200


@dataclass(frozen=True, slots=True)
class Entry:
    """One rule as it is written."""

    name: str
    kind: str
    """Its decision."""
    table: Mapping[str, Any]
    where: str
    """Names the rule in errors."""


@dataclass(frozen=True, slots=True)
class Document:
    """A policy as it is written."""

    version: str
    """What the file calls itself, with a digest of its text: two texts never share one."""
    entries: tuple[Entry, ...]
    other: Mapping[str, Any]
    """Further top-level members."""


def read_document(text: str, *, decisions: Mapping[str, Collection[str]], top: Collection[str] = ()) -> Document:
    """Read a policy whose rules take these `decisions`, each with the members it may have.

    `top` are top-level members beside `version` and `rule`. Raises `ConfigurationError`, which names the rule and what
    is wrong with it.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"The policy is not TOML: {error}.") from error
    refuse_others(document, {"version", "rule", *top}, "The policy")
    version, rules = document.get("version", ""), document.get("rule", [])
    if not isinstance(version, str) or not isinstance(rules, list) or len(rules) > _MAX_RULES:
        raise ConfigurationError(f"version is a string, and rule a list of at most {_MAX_RULES} tables.")
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    entries = tuple(_entry(rule, number, decisions) for number, rule in enumerate(rules, start=1))
    return Document(
        f"{version}+{digest}" if version else digest,
        entries,
        {name: value for name, value in document.items() if name in top},
    )


def _entry(rule: object, number: int, decisions: Mapping[str, Collection[str]]) -> Entry:
    if not isinstance(rule, dict):
        raise ConfigurationError(f"Rule {number} is not a table.")
    name = rule.get("name", f"rule {number}")
    if not isinstance(name, str) or not 0 < len(name) <= _MAX_NAME:
        raise ConfigurationError(f"The name of rule {number} is a string of at most {_MAX_NAME} characters.")
    where, kind = f"Rule {number} ({name})", rule.get("decision")
    if not isinstance(kind, str) or kind not in decisions:
        raise ConfigurationError(f"{where} needs a decision: {', '.join(decisions)}.")
    refuse_others(rule, {"name", "decision", "when", *decisions[kind]}, where)
    return Entry(name, kind, rule, where)


def refuse_others(table: Mapping[str, object], known: Collection[str], where: str) -> None:
    """Raises `ConfigurationError` for a member that is not one of `known`."""
    unknown = sorted(set(table) - set(known))
    if unknown:
        near = "" if not re.match("whe|cond|if", unknown[0]) else " Conditions stand in [rule.when]."
        raise ConfigurationError(f"{where} has no member {', '.join(unknown)}.{near}")


def string(value: object, what: str) -> str:
    """`value`, a string. Raises `ConfigurationError`, naming `what`."""
    if not isinstance(value, str):
        raise ConfigurationError(f"{what} is a string.")
    return value


def strings(value: object, what: str) -> tuple[str, ...]:
    """`value`, a list of strings. Raises `ConfigurationError`, naming `what`."""
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ConfigurationError(f"{what} is a list of strings.")
    return tuple(value)
