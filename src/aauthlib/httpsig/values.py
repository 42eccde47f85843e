"""Component values that take more than looking them up (RFC 9421, Sections 2.1 to 2.1.3 and 2.2.8).

Folded lines, strictly serialised and byte-wrapped fields, one member of a dictionary, one parameter of a query. Knows
fields and strings; which component asks for what is in `components`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias
from urllib.parse import quote, unquote_to_bytes

from ..errors import InvalidSignature
from ..fields import FieldError, parse_dictionary, parse_item, parse_list, serialize
from ..http import Fields

__all__ = [
    "STRUCTURED_FIELDS",
    "FieldType",
    "combined",
    "dictionary_member",
    "query_param",
    "strict",
    "unfold",
    "wrapped",
]

FieldType: TypeAlias = Literal["dictionary", "list", "item"]

#: Fields that are defined as Structured Fields, and as which. Others are an error under `;sf` and `;key` unless the
#: caller says what they are: a field merely looks structured as often as it is (Section 2.1.1).
STRUCTURED_FIELDS: Mapping[str, FieldType] = {
    "aauth-capabilities": "list",
    "aauth-requirement": "dictionary",
    "accept-ch": "list",
    "accept-signature": "dictionary",
    "accept-signature-alg": "list",
    "accept-signature-scheme": "list",
    "cache-status": "list",
    "cdn-cache-control": "dictionary",
    "client-cert": "item",
    "client-cert-chain": "list",
    "content-digest": "dictionary",
    "cross-origin-embedder-policy": "item",
    "cross-origin-opener-policy": "item",
    "origin-agent-cluster": "item",
    "priority": "dictionary",
    "proxy-status": "list",
    "repr-digest": "dictionary",
    "signature": "dictionary",
    "signature-error": "dictionary",
    "signature-input": "dictionary",
    "signature-key": "dictionary",
    "want-content-digest": "dictionary",
    "want-repr-digest": "dictionary",
}

_PARSERS: Mapping[FieldType, Callable[[str], Any]] = {
    "dictionary": parse_dictionary,
    "list": parse_list,
    "item": parse_item,
}
_WHITE = " \t"
_FORM_SAFE = "*-._"


def combined(fields: Fields, name: str) -> str | None:
    """The lines of a field, each stripped and unfolded, joined by `, ` (Section 2.1). `None` when there is none."""
    value = fields.get(name)
    if value is None or "\r\n" not in value:
        return value
    return ", ".join([unfold(line) for line in fields.get_all(name)])


def unfold(line: str) -> str:
    """`line` stripped, each obsolete line fold replaced by one space (RFC 9112, Section 5.2).

    A line break that white space does not follow is no fold; it stays, and the signature base refuses it.
    """
    # Split rather than matched: a pattern would look again and again at a long run of white space.
    unfolded, *rest = line.split("\r\n")
    for part in rest:
        folded = part.startswith((" ", "\t"))
        unfolded = f"{unfolded.rstrip(_WHITE)} {part.lstrip(_WHITE)}" if folded else f"{unfolded}\r\n{part}"
    return unfolded.strip(_WHITE)


def strict(value: str, kind: FieldType) -> str:
    """`value` parsed and serialised again (Section 2.1.1). Raises `InvalidSignature` when it is not of that type."""
    try:
        parsed: Any = _PARSERS[kind](value)
        # An empty List or Dictionary has no serialisation; in a signature base its value is empty, as the field's is.
        return serialize(parsed) if parsed else ""
    except (FieldError, ValueError) as error:
        raise InvalidSignature(f"A field covered with sf or key is not a well-formed {kind}.") from error


def dictionary_member(value: str, key: str) -> str:
    """The member `key` of a Dictionary, serialised strictly without its key (Section 2.1.2).

    Raises `InvalidSignature` when there is none.
    """
    try:
        members = parse_dictionary(value)
    except FieldError as error:
        raise InvalidSignature("A field covered with key is not a well-formed dictionary.") from error
    if key not in members:
        raise InvalidSignature("The signature covers a dictionary member that the field does not have.")
    member = members[key]
    # An inner list can be serialised as the one member of a List only, which adds nothing to it.
    return serialize([member])


def wrapped(fields: Fields, name: str) -> str:
    """Each line of the field as a Byte Sequence (Section 2.1.3)."""
    lines = [unfold(line) for line in fields.get_all(name)]
    try:
        return serialize([(line.encode("latin-1"), {}) for line in lines])
    except UnicodeEncodeError as error:
        raise InvalidSignature("A field covered with bs holds characters that no header line can carry.") from error


def query_param(query: str | None, name: str) -> str:
    """The value of the query parameter whose name, encoded, is `name`; encoded as Section 2.2.8 says.

    Raises `InvalidSignature` when it occurs never or several times. One that is not percent-encoded UTF-8 is refused
    as well: read leniently, different queries would have the same signature base.
    """
    found = []
    for pair in (query or "").split("&"):
        key, _, value = pair.partition("=")
        if pair and _form_encoded(key) == name:
            found.append(value)
    if len(found) != 1:
        raise InvalidSignature("A covered query parameter must occur exactly once in the query.")
    encoded = _form_encoded(found[0])
    if encoded is None:
        raise InvalidSignature("A covered query parameter is not percent-encoded UTF-8.")
    return encoded


def _form_encoded(text: str) -> str | None:
    """`application/x-www-form-urlencoded` decoded and percent-encoded again; `None` when it is no UTF-8."""
    try:
        decoded = unquote_to_bytes(text.replace("+", " ")).decode("utf-8")
    except UnicodeDecodeError:
        return None
    # `quote` never encodes `~`, which this percent-encode set holds.
    return quote(decoded, safe=_FORM_SAFE).replace("~", "%7E")
