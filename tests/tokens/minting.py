"""Issuers, keys and tokens for the tests of `tokens` and `verification`, and a driver that counts what is fetched.

`mint` signs whatever it is told, so that tests can make the tokens no honest issuer would.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from aauthlib import jws
from aauthlib.base64url import b64url_encode
from aauthlib.effects import FindKey, Flow
from aauthlib.errors import AAuthError, UnknownKey
from aauthlib.keys import PublicKey, SigningKey

AP = "https://ap.example"
PS = "https://ps.example"
AS = "https://as.example"
RESOURCE = "https://resource.example"
NOW = 1_800_000_000.0

ISSUER_KEY = SigningKey.generate(kid="issuer-1")
AGENT_KEY = SigningKey.generate()
OTHER_KEY = SigningKey.generate()

_T = TypeVar("_T")


class _Missing:
    def __repr__(self) -> str:
        return "missing"


MISSING = _Missing()
"""A claim or header parameter to leave out."""

_COMMON = {"jti": "jti-1", "iat": int(NOW), "exp": int(NOW) + 600}
_CNF = {"jwk": AGENT_KEY.public.to_jwk()}

CLAIMS: Mapping[str, dict[str, Any]] = {
    "aa-agent+jwt": {
        "iss": AP,
        "dwk": "aauth-agent.json",
        "sub": "aauth:planner@ap.example",
        "cnf": _CNF,
        "ps": PS,
        **_COMMON,
    },
    "aa-person+jwt": {
        "iss": PS,
        "dwk": "aauth-person.json",
        "aud": RESOURCE,
        "sub": "8f14e45f",
        "cnf": _CNF,
        **_COMMON,
    },
    "aa-resource+jwt": {
        "iss": RESOURCE,
        "dwk": "aauth-resource.json",
        "aud": PS,
        "ps": PS,
        "sub": "8f14e45f",
        "presented_jti": "jti-1",
        "agent_jkt": AGENT_KEY.thumbprint,
        "scope": "calendar.read",
        **_COMMON,
        "exp": int(NOW) + 300,
    },
    "aa-auth+jwt": {
        "iss": PS,
        "dwk": "aauth-person.json",
        "ps": PS,
        "aud": RESOURCE,
        "sub": "8f14e45f",
        "cnf": _CNF,
        "scope": "calendar.read",
        **_COMMON,
    },
}
"""What an honest issuer puts into a token, by `typ`."""


def without(mapping: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in mapping.items() if value is not MISSING}


def mint(typ: str, *, header: Mapping[str, Any] | None = None, key: SigningKey = ISSUER_KEY, **claims: Any) -> str:
    """A token of `typ` signed by `key`, with claims and header parameters replaced, or left out where `MISSING`."""
    return jws.sign(without({"typ": typ, "kid": key.kid, **(header or {})}), without({**CLAIMS[typ], **claims}), key)


def unsigned(header: Mapping[str, Any], payload: Mapping[str, Any], signature: bytes = b"\0" * 64) -> str:
    """A token with a header `jws.sign` would not write, and a signature of somebody's choice."""
    parts = [json.dumps(dict(header)).encode(), json.dumps(dict(payload)).encode(), signature]
    return ".".join(b64url_encode(part) for part in parts)


@dataclass
class Issuers:
    """Who publishes which key. Drives flows and keeps what they asked for."""

    keys: dict[tuple[str, str], PublicKey] = field(
        default_factory=lambda: {(issuer, ISSUER_KEY.kid): ISSUER_KEY.public for issuer in (AP, PS, AS, RESOURCE)}
    )
    renewed: dict[tuple[str, str], PublicKey] = field(default_factory=dict)
    """What a second look finds, after a silent re-keying."""
    fail: AAuthError | None = None
    asked: list[FindKey] = field(default_factory=list)

    def run(self, flow: Flow[_T]) -> _T:
        try:
            effect = next(flow)
            while True:
                assert isinstance(effect, FindKey)
                self.asked.append(effect)
                try:
                    answer = self._find(effect)
                except AAuthError as error:
                    effect = flow.throw(error)
                else:
                    effect = flow.send(answer)
        except StopIteration as end:
            result: _T = end.value
            return result

    def _find(self, effect: FindKey) -> PublicKey:
        if self.fail is not None:
            raise self.fail
        found = self.renewed if effect.changed_since_use and self.renewed else self.keys
        try:
            return found[effect.issuer, effect.kid]
        except KeyError:
            raise UnknownKey("The issuer publishes no key with this kid.") from None
