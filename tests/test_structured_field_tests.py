"""The HTTP Working Group's test suite for Structured Fields, through `aauthlib.fields`.

A case has the lines of a field (`raw`), what they mean (`expected`) and how that is written (`canonical`, else `raw`).
The cases in `serialisation-tests` have no lines.
"""

from __future__ import annotations

import json
from base64 import b32decode
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from http_sf import DisplayString

from aauthlib.fields import FieldError, Token, parse_dictionary, parse_item, parse_list, serialize

SUITE = Path(__file__).parent / "vectors" / "structured-fields"
PARSERS: dict[str, Any] = {"dictionary": parse_dictionary, "list": parse_list, "item": parse_item}


def cases(path: Path) -> list[dict[str, Any]]:
    found = json.loads(path.read_text(), parse_float=Decimal)
    assert found, path
    return list(found)


def bare(value: Any) -> Any:
    match value:
        case {"__type": "token", "value": text}:
            return Token(text)
        case {"__type": "binary", "value": text}:
            return b32decode(text)
        case {"__type": "date", "value": seconds}:
            return datetime.fromtimestamp(seconds, tz=UTC)
        case {"__type": "displaystring", "value": text}:
            return DisplayString(text)
    return value


def parameters(pairs: list[Any]) -> dict[str, Any]:
    return {name: bare(value) for name, value in pairs}


def member(pair: list[Any]) -> tuple[Any, dict[str, Any]]:
    value, params = pair
    return [member(item) for item in value] if isinstance(value, list) else bare(value), parameters(params)


def structure(kind: str, value: Any) -> Any:
    if kind == "dictionary":
        return {name: member(pair) for name, pair in value}
    return [member(pair) for pair in value] if kind == "list" else member(value)


def shown(value: Any) -> str:
    """With types, order and instants: `True` is not 1, a Token is no String, and a date means the same in any zone."""
    if isinstance(value, datetime):
        return f"@{value.timestamp()}"
    if isinstance(value, Decimal):
        return f"decimal {value.normalize()}"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {shown(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(shown, value)) + "]"
    return f"{type(value).__name__} {value!s}"


@pytest.mark.spec("rfc9651#4.2", "rfc9651#4.1")
@pytest.mark.parametrize("path", sorted(SUITE.glob("*.json")), ids=lambda path: path.stem)
def test_each_field_of_the_suite_is_read_and_written_as_it_says(path: Path) -> None:
    for case in cases(path):
        kind, name = case["header_type"], case["name"]
        text = ", ".join(case["raw"])
        try:
            parsed = PARSERS[kind](text)
        except FieldError:
            assert case.get("must_fail") or case.get("can_fail"), f"{name}: refused"
            continue
        assert not case.get("must_fail"), f"{name}: read as {parsed!r}"
        assert shown(parsed) == shown(structure(kind, case["expected"])), name
        written = [serialize(parsed)] if parsed else []
        assert written == case.get("canonical", case["raw"]), name


@pytest.mark.spec("rfc9651#4.1")
@pytest.mark.parametrize("path", sorted(SUITE.glob("serialisation-tests/*.json")), ids=lambda path: path.stem)
def test_each_value_of_the_suite_is_written_or_refused_as_it_says(path: Path) -> None:
    for case in cases(path):
        value = structure(case["header_type"], case["expected"])
        if case.get("must_fail"):
            with pytest.raises((ValueError, TypeError)):
                serialize(value)
        else:
            assert [serialize(value)] == case["canonical"], case["name"]
