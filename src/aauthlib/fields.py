"""Structured Fields (RFC 9651) with bounds: thin wrappers over `http_sf` with one failure each.

The rest of the library sees plain Python values: a Token is `Token`, a String `str`, a Byte Sequence `bytes`, an
Integer `int`, a Boolean `bool`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import http_sf
from http_sf import Token

__all__ = [
    "MAX_FIELD_LENGTH",
    "DuplicateKey",
    "FieldError",
    "Token",
    "is_plain_string",
    "parse_dictionary",
    "parse_item",
    "parse_list",
    "serialize",
]

#: Longest field value parsed, in characters. Room for two of the longest JWTs.
MAX_FIELD_LENGTH = 40_960


#: Printable ASCII without the two characters that a String escapes.
_PLAIN = bytes(octet for octet in range(0x20, 0x7F) if chr(octet) not in '"\\')


class FieldError(ValueError):
    """A header field is not the structured field it should be."""


class DuplicateKey(FieldError):
    """A dictionary has two members of one key where its field allows none."""


def _refuse_duplicate(key: str, context: str) -> None:
    if context == "dictionary":  # of a parameter given twice the last counts, as in any structured field
        raise DuplicateKey("the field has two members of one key")


def _parse(value: str, kind: str, on_duplicate_key: Callable[[str, str], None] | None = None) -> Any:
    if len(value) > MAX_FIELD_LENGTH:
        raise FieldError("the field is too long")
    try:
        return http_sf.parse(value.encode("ascii"), tltype=kind, on_duplicate_key=on_duplicate_key)
    except FieldError:
        raise
    except (http_sf.StructuredFieldError, UnicodeEncodeError, ValueError) as error:
        raise FieldError("the field is not a well-formed structured field") from error


def parse_dictionary(value: str, *, unique: bool = False) -> dict[str, tuple[Any, dict[str, Any]]]:
    """Parse a Dictionary: key to (value, parameters). An inner list's value is a list of (item, parameters).

    Of two members of one key the last counts (RFC 9651, Section 4.2.2); with `unique` they raise `DuplicateKey`.
    """
    return cast(
        "dict[str, tuple[Any, dict[str, Any]]]", _parse(value, "dictionary", _refuse_duplicate if unique else None)
    )


def parse_list(value: str) -> list[tuple[Any, dict[str, Any]]]:
    """Parse a List: (value, parameters) each."""
    return cast("list[tuple[Any, dict[str, Any]]]", _parse(value, "list"))


def parse_item(value: str) -> tuple[Any, dict[str, Any]]:
    """Parse an Item: (value, parameters)."""
    return cast("tuple[Any, dict[str, Any]]", _parse(value, "item"))


def serialize(value: Mapping[str, Any] | list[Any] | tuple[Any, Any]) -> str:
    """Serialise a Dictionary (mapping), List (list) or Item (pair of value and parameters)."""
    return http_sf.ser(cast("Any", value))


def is_plain_string(value: str) -> bool:
    """Whether `value` as a String is written as it stands between two quotes: printable ASCII, nothing to escape."""
    return value.isascii() and not value.encode().translate(None, _PLAIN)
