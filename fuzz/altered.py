"""Structure-aware mutation: the fuzzer's bytes as a program that alters a valid signed request.

The first byte picks the request, every following instruction changes one thing an attacker on the way, or a careless
proxy, could change. `resign` lets the attacker be somebody with a valid key who signs whatever was made.
"""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass

from aauthlib.errors import AAuthError
from aauthlib.fields import FieldError, parse_dictionary
from aauthlib.http import Fields, Request
from aauthlib.httpsig.components import signature_base

from .parties import AGENT_KEY, REQUESTS

__all__ = ["Altered", "alter"]

_NAMES = (
    "signature-input",
    "signature",
    "signature-key",
    "authorization",
    "content-digest",
    "content-type",
    "host",
    "x-other",
)
_LABEL = re.compile(r"([a-z*][a-z0-9_.*-]*)=")
_MOST_STEPS = 64


@dataclass(frozen=True, slots=True)
class Altered:
    """The request, and whether it was signed again after it was altered."""

    request: Request
    resigned: bool


class _Tape:
    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def byte(self) -> int:
        self._at += 1
        return self._data[self._at - 1] if self._at <= len(self._data) else 0

    def text(self) -> str:
        """A length in one or two bytes, then that much in Latin-1, as servers decode header values."""
        length = self.byte()
        if length >= 0xF0:
            length = (length & 0x0F) << 8 | self.byte()
        piece = self._data[self._at : self._at + length]
        self._at += length
        return piece.decode("latin-1")


def alter(data: bytes) -> Altered:
    """Carry out the program in `data`."""
    tape = _Tape(data)
    request = REQUESTS[tape.byte() % len(REQUESTS)]
    method, url, headers, body = request.method, request.url, list(request.headers), request.body
    resign = False
    for _ in range(_MOST_STEPS):
        if not tape.left:
            break
        step, name = tape.byte() % 12, _NAMES[tape.byte() % len(_NAMES)]
        place = next((i for i, (field, _) in enumerate(headers) if field == name), None)
        value = headers[place][1] if place is not None else ""
        match step:
            case 0:
                value = tape.text()
            case 1:
                at = tape.byte() << 8 | tape.byte()
                at %= len(value) + 1
                value = value[:at] + tape.text() + value[at:]
            case 2:
                at = tape.byte() << 8 | tape.byte()
                at %= len(value) + 1
                value = value[:at] + value[at + tape.byte() :]
            case 3:
                headers = [pair for pair in headers if pair[0] != name]
                continue
            case 4:
                headers.append((name, tape.text()))
                continue
            case 5:
                method = tape.text()
                continue
            case 6:
                at = tape.byte() % (len(url) + 1)
                url = url[:at] + tape.text() + url[at + tape.byte() % 8 :]
                continue
            case 7:
                body = tape.text().encode("latin-1")
                continue
            case 8:
                other = REQUESTS[tape.byte() % len(REQUESTS)]
                value = other.headers.get(name) or ""
            case 9:
                value = f"{value}, {tape.text()}"
            case 10:
                value = value.replace("sig=", tape.text() + "=", 1)
            case 11:
                resign = True
                continue
        if place is None:
            headers.append((name, value))
        else:
            headers[place] = (name, value)
    made = Request(method, url, Fields(headers), body)
    again = _signed_again(made) if resign else None
    return Altered(again or made, again is not None)


def _signed_again(request: Request) -> Request | None:
    """With a signature of the agent's key under the first label, over what `Signature-Input` says there."""
    value = request.headers.get("signature-input") or ""
    label = _LABEL.match(value)
    if label is None:
        return None
    try:
        members = parse_dictionary(value)
        listed = members[label[1]][0]
        covered = [name for name, _ in listed if isinstance(name, str)] if isinstance(listed, list) else []
        params = value[label.end() :].partition(", ")[0]
        base = signature_base(request, covered, params)
    except (AAuthError, FieldError, KeyError):
        return None
    return request.with_headers(signature=f"{label[1]}=:{b64encode(AGENT_KEY.sign(base)).decode('ascii')}:")
