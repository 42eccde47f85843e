"""An issuer that signs anything it is told to, and a verifier that knows its key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from aauthlib.base64url import b64url_encode
from aauthlib.effects import FindKey
from aauthlib.errors import AAuthError, UnknownKey
from aauthlib.keys import PublicKey, SigningKey
from aauthlib.tokens import Token, VerificationPolicy, verify

NOW = 1_800_000_000

AGENT_CLAIMS: Mapping[str, Any] = {
    "iss": "https://ap.example",
    "dwk": "aauth-agent.json",
    "sub": "aauth:assistant@ap.example",
    "ps": "https://ps.example",
}
PERSON_CLAIMS: Mapping[str, Any] = {
    "iss": "https://ps.example",
    "dwk": "aauth-person.json",
    "aud": "https://api.example",
    "sub": "pairwise-1",
}
AUTH_CLAIMS: Mapping[str, Any] = {
    "iss": "https://ps.example",
    "dwk": "aauth-person.json",
    "ps": "https://ps.example",
    "aud": "https://api.example",
    "sub": "pairwise-1",
    "scope": "calendar.read",
}
RESOURCE_CLAIMS: Mapping[str, Any] = {
    "iss": "https://api.example",
    "dwk": "aauth-resource.json",
    "aud": "https://ps.example",
    "ps": "https://ps.example",
    "sub": "pairwise-1",
    "presented_jti": "p1",
    "scope": "calendar.read",
}
BY_TYPE = {
    "aa-agent+jwt": AGENT_CLAIMS,
    "aa-person+jwt": PERSON_CLAIMS,
    "aa-auth+jwt": AUTH_CLAIMS,
    "aa-resource+jwt": RESOURCE_CLAIMS,
}


class Absent:
    """The value of a member that is to be left out."""


@dataclass
class Forge:
    """Mints tokens with any header and any claims, all correctly signed, and verifies tokens."""

    issuer_key: SigningKey = field(default_factory=SigningKey.generate)
    agent_key: SigningKey = field(default_factory=SigningKey.generate)
    fetched: list[FindKey] = field(default_factory=list)
    answers: list[PublicKey | AAuthError] = field(default_factory=list)
    absent: Any = Absent

    def mint(self, cls: type[Token], *, header: Mapping[str, Any] | None = None, **claims: Any) -> str:
        """A token of type `cls` with `claims` changed or (`absent`) left out."""
        bound = (
            {"agent_jkt": self.agent_key.thumbprint}
            if cls.typ == "aa-resource+jwt"
            else {"cnf": {"jwk": self.agent_key.public.to_jwk()}}
        )
        payload = {**BY_TYPE[cls.typ], **bound, "jti": "j1", "iat": NOW, "exp": NOW + 300, **claims}
        head = {"alg": self.issuer_key.alg, "typ": cls.typ, "kid": self.issuer_key.kid, **(header or {})}
        parts = [
            b64url_encode(msgspec.json.encode({k: v for k, v in part.items() if v is not Absent}))
            for part in (head, payload)
        ]
        signing_input = ".".join(parts)
        return f"{signing_input}.{b64url_encode(self.issuer_key.sign(signing_input.encode()))}"

    def verify(self, text: str, *expected: type[Token], now: float = NOW, **options: Any) -> Any:
        """The verified token; each `FindKey` is answered with the issuer's key, or the next of `answers`."""
        policy = options.pop("policy", VerificationPolicy())
        flow = verify(text, *expected, now=now, policy=policy, **options)
        try:
            effect = next(flow)
            while True:
                assert isinstance(effect, FindKey)
                self.fetched.append(effect)
                answer: PublicKey | AAuthError = self.answers.pop(0) if self.answers else self.issuer_key.public
                effect = flow.throw(answer) if isinstance(answer, AAuthError) else flow.send(answer)
        except StopIteration as end:
            return end.value

    def unknown(self) -> UnknownKey:
        return UnknownKey("No such key.")


@pytest.fixture
def forge() -> Forge:
    return Forge()
