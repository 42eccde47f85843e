"""The sequence page: every message of the demo between its parties, to be opened and read, tokens decoded.

Signatures are shown; private keys never reach this module. The page is plain HTML without script.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from jinja2 import Environment, FileSystemLoader, select_autoescape

from ..cli.exchanges import Exchange, Exchanges, Note
from ..cli.narrate import credential, explain
from ..errors import TokenInvalid
from ..fields import FieldError, parse_dictionary
from ..http import Fields
from ..jws import parse as parse_jws

__all__ = ["Lane", "render_sequence"]

_HERE = Path(__file__).parent
_MAX_SHOWN = 4000


@dataclass(frozen=True, slots=True)
class Lane:
    """A party of the diagram."""

    key: str
    title: str
    subtitle: str


@dataclass(frozen=True, slots=True)
class _DecodedToken:
    where: str
    typ: str
    header: str
    payload: str


@dataclass(frozen=True, slots=True)
class _Row:
    """One line of the diagram: a message, a note, or the heading of a step."""

    kind: str
    number: int
    text: str = ""
    first: int = 1
    last: int = 2
    rightward: bool = True
    label: str = ""
    status: str = ""
    tone: str = ""
    presents: str = ""
    sentences: Sequence[str] = ()
    request: str = ""
    response: str = ""
    tokens: Sequence[_DecodedToken] = field(default_factory=tuple)


def render_sequence(exchanges: Exchanges, lanes: Sequence[Lane], *, title: str) -> str:
    """The whole page as HTML."""
    columns = {lane.key: index for index, lane in enumerate(lanes, start=1)}
    rows = [_row(entry, columns) for entry in exchanges.entries]
    template = _environment().get_template("sequence.html")
    return template.render(title=title, lanes=lanes, rows=rows, style=(_HERE / "static" / "sequence.css").read_text())


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=select_autoescape(),
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _row(entry: Exchange | Note, columns: Mapping[str, int]) -> _Row:
    if isinstance(entry, Note):
        return _Row(entry.kind, entry.number, entry.text)
    start, end = columns.get(entry.sender, 1), columns.get(entry.receiver, len(columns))
    response = entry.response
    status = str(response.status) if response is not None else "failed"
    return _Row(
        kind="discovery" if entry.discovery else "message",
        number=entry.number,
        first=min(start, end),
        last=max(start, end),
        rightward=end >= start,
        label=f"{entry.request.method} {entry.request.path}",
        status=status,
        tone={"2": "good", "4": "ask", "5": "bad"}.get(status[0], "bad") if status != "202" else "wait",
        presents=credential(entry.request) if not entry.discovery else "looks up published keys or metadata",
        sentences=explain(entry),
        request=_message(f"{entry.request.method} {entry.request.target}", entry.request.headers, entry.request.body),
        response=_message(f"Status {status}", response.headers, response.body) if response is not None else "",
        tokens=_tokens(entry),
    )


def _message(first: str, headers: Fields, body: bytes) -> str:
    lines = [first, *(f"{name}: {_shorten(value)}" for name, value in headers)]
    if body:
        lines += ["", _body(body)]
    return "\n".join(lines)


def _body(body: bytes) -> str:
    try:
        return _pretty(_shorten_values(msgspec.json.decode(body)))
    except (ValueError, UnicodeDecodeError):
        return _shorten(body.decode("utf-8", "replace"))


def _shorten_values(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _shorten_values(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_shorten_values(member) for member in value]
    return _shorten(value, 160) if isinstance(value, str) else value


def _shorten(text: str, most: int = 600) -> str:
    return text if len(text) <= most else f"{text[: most // 2]} … {text[-40:]}"


def _pretty(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()[:_MAX_SHOWN]


def _tokens(exchange: Exchange) -> tuple[_DecodedToken, ...]:
    found: list[_DecodedToken] = []

    def add(where: str, text: Any) -> None:
        if not isinstance(text, str) or text.count(".") != 2:
            return
        try:
            decoded = parse_jws(text)
        except TokenInvalid:
            return
        found.append(
            _DecodedToken(where, str(decoded.header.get("typ")), _pretty(decoded.header), _pretty(decoded.payload))
        )

    for where, headers, names in (
        ("Signature-Key", exchange.request.headers, ("signature-key",)),
        ("AAuth-Requirement", exchange.response.headers if exchange.response else Fields(), ("aauth-requirement",)),
    ):
        for name in names:
            value = headers.get(name)
            if value is None:
                continue
            try:
                members = parse_dictionary(value)
            except FieldError:
                continue
            for _, parameters in members.values():
                for parameter in ("jwt", "resource-token"):
                    add(where, parameters.get(parameter))
    for where, body in (
        ("request body", exchange.request.body),
        ("response body", exchange.response.body if exchange.response else b""),
    ):
        try:
            document = msgspec.json.decode(body) if body else None
        except (ValueError, UnicodeDecodeError):
            continue
        if isinstance(document, dict):
            for name, value in document.items():
                add(f"{name} in the {where}", value)
    return tuple(found)
