"""Exchanges as lines of a transcript: real request lines, real status lines, the headers that matter."""

from __future__ import annotations

from rich.markup import escape

from ..http import Fields
from .exchanges import Exchange
from .narrate import credential, explain, first_line

__all__ = ["transcript_lines"]

_REQUEST_HEADERS = ("signature-key", "signature-input", "authorization", "prefer")
_RESPONSE_HEADERS = (
    "aauth-requirement",
    "accept-signature-scheme",
    "signature-error",
    "location",
    "retry-after",
    "aauth-access",
)
_MAX_SHOWN = 110


def transcript_lines(exchange: Exchange) -> list[str]:
    """Lines in rich markup. A lookup of keys or metadata is one dim line."""
    if exchange.discovery:
        return [f"  [dim]{escape(exchange.sender)} → {escape(exchange.receiver)}  {escape(first_line(exchange))}[/]"]
    request, response = exchange.request, exchange.response
    lines = [
        f"  [bold]{escape(exchange.sender)} → {escape(exchange.receiver)}[/]  [dim]{escape(credential(request))}[/]",
        f"    {escape(first_line(exchange).partition(' →')[0])}",
    ]
    lines += [
        f"    [dim]{name}: {escape(_short(name, request.headers.get(name) or ''))}[/]"
        for name in _REQUEST_HEADERS
        if name in request.headers
    ]
    if response is None:
        return [*lines, f"    [red]{escape(exchange.failure or 'no answer')}[/]"]
    lines.append(f"    [{_tone(response.status)}]{response.status}[/]")
    lines += [
        f"    [dim]{name}: {escape(_short(name, response.headers.get(name) or ''))}[/]"
        for name in _RESPONSE_HEADERS
        if name in response.headers
    ]
    lines += [f"    {escape(sentence)}" for sentence in explain(exchange)]
    return lines


def _headers(fields: Fields, names: tuple[str, ...]) -> list[str]:
    found = [(name, fields.get(name)) for name in names]
    return [f"    [dim]{name}: {escape(_short(name, value))}[/]" for name, value in found if value is not None]


def _tone(status: int) -> str:
    return "green" if status in (200, 201, 204) else "cyan" if status == 202 else "yellow" if status < 500 else "red"


def _short(name: str, value: str) -> str:
    if name == "location":
        head, _, tail = value.rpartition("/")
        return f"{head}/{tail[:6]}…" if len(tail) > 24 else value
    return value if len(value) <= _MAX_SHOWN else value[: _MAX_SHOWN - 1] + "…"
