"""Tokens of each kind, good ones and all that must be refused, with the reason."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from aauthlib import jws
from aauthlib.base64url import b64url_encode
from aauthlib.keys import SigningKey

from .parties import AP, AS, KEYS, NOW, PS, RESOURCE

__all__ = ["TokenVector", "mint", "token_vectors"]

AGENT = "aauth:planner@ap.example"
_TIMES = {"iat": NOW, "exp": NOW + 600}
_MISSION = "dGhlIGRpZ2VzdCBvZiBhIG1pc3Npb24ncyBieXRlcy4"


def _cnf(name: str = "agent") -> dict[str, Any]:
    return {"jwk": KEYS[name].public.to_jwk()}


#: What an honest issuer puts into each kind.
CLAIMS: dict[str, dict[str, Any]] = {
    "aa-agent+jwt": {
        "iss": AP,
        "dwk": "aauth-agent.json",
        "sub": AGENT,
        "jti": "agent-1",
        **_TIMES,
        "cnf": _cnf(),
        "ps": PS,
    },
    "aa-person+jwt": {
        "iss": PS,
        "dwk": "aauth-person.json",
        "aud": RESOURCE,
        "sub": "8f14e45f",
        "jti": "person-1",
        **_TIMES,
        "cnf": _cnf(),
    },
    "aa-resource+jwt": {
        "iss": RESOURCE,
        "dwk": "aauth-resource.json",
        "aud": PS,
        "ps": PS,
        "sub": "8f14e45f",
        "jti": "resource-1",
        "iat": NOW,
        "exp": NOW + 300,
        "presented_jti": "person-1",
        "agent_jkt": KEYS["agent"].public.thumbprint,
        "scope": "calendar.read calendar.write",
    },
    "aa-auth+jwt": {
        "iss": PS,
        "dwk": "aauth-person.json",
        "ps": PS,
        "aud": RESOURCE,
        "sub": "8f14e45f",
        "jti": "auth-1",
        **_TIMES,
        "cnf": _cnf(),
        "scope": "calendar.read",
    },
}
_ISSUER = {
    "aa-agent+jwt": "ap",
    "aa-person+jwt": "ps-ed25519",
    "aa-resource+jwt": "resource",
    "aa-auth+jwt": "ps-ed25519",
}
_KIND = {"aa-agent+jwt": "agent", "aa-person+jwt": "person", "aa-resource+jwt": "resource", "aa-auth+jwt": "auth"}
_WITHOUT = object()


@dataclass(frozen=True)
class TokenVector:
    """One token and what has to come of it: `error` is `None`, `invalid`, `expired` or `from_future`."""

    name: str
    typ: str
    section: str
    says: str
    token: str
    error: str | None

    def document(self) -> dict[str, Any]:
        """As in `tokens.json`."""
        expected: dict[str, Any] = {"error": self.error}
        if self.error is None:
            payload = jws.parse(self.token).payload
            expected = {"claims": payload}
        return {
            "name": self.name,
            "section": self.section,
            "says": self.says,
            "expected_typ": self.typ,
            "now": NOW,
            "token": self.token,
            "result": expected,
        }


def mint(typ: str, *, by: str | None = None, header: dict[str, Any] | None = None, **claims: Any) -> str:
    """A token of `typ` with changed claims (`_WITHOUT` leaves one out) and header parameters, signed by `by`."""
    key = KEYS[by or _ISSUER[typ]]
    payload = {**CLAIMS[typ], **claims}
    return raw(
        {"alg": key.alg, "typ": typ, "kid": key.kid or "unknown", **(header or {})},
        {name: value for name, value in payload.items() if value is not _WITHOUT},
        key,
    )


def raw(header: dict[str, Any], payload: object, key: SigningKey) -> str:
    """A compact JWS over whatever it is given."""
    head = {name: value for name, value in header.items() if value is not _WITHOUT}
    signed = ".".join(b64url_encode(msgspec.json.encode(part)) for part in (head, payload))
    return f"{signed}.{b64url_encode(key.sign(signed.encode()))}"


def token_vectors() -> Iterator[TokenVector]:
    """Every vector of `tokens.json`."""
    for typ in CLAIMS:
        yield from _common(typ)
    yield from _special()


def _common(typ: str) -> Iterator[TokenVector]:
    kind, section = _KIND[typ], "#common-verification"
    good = mint(typ)

    def vector(name: str, says: str, token: str, error: str | None = "invalid", where: str = section) -> TokenVector:
        return TokenVector(f"{kind}-{name}", typ, where, says, token, error)

    yield vector("valid", "As an honest issuer makes it.", good, None, "#common-claims")
    yield vector("unknown-claim", "A claim nobody knows is ignored.", mint(typ, x_extra={"a": [1]}), None)
    yield vector("typ-of-another", "typ is checked first: a token of another kind.", mint(typ, header={"typ": "JWT"}))
    yield vector("typ-missing", "typ is required.", mint(typ, header={"typ": _WITHOUT}))
    yield vector("typ-with-prefix", "typ is compared exactly.", mint(typ, header={"typ": f"application/{typ}"}))
    yield vector("alg-none", "alg none is never accepted.", _unsigned(typ))
    yield vector("alg-eddsa", "EdDSA is polymorphic; the name is Ed25519.", mint(typ, header={"alg": "EdDSA"}))
    yield vector("alg-hs256", "No symmetric algorithm.", mint(typ, header={"alg": "HS256"}))
    yield vector("alg-disagrees", "alg in the header must be the key's own.", mint(typ, header={"alg": "ES256"}))
    yield vector("alg-missing", "alg is required.", mint(typ, header={"alg": _WITHOUT}))
    yield vector("crit", "A critical header parameter nobody understands.", mint(typ, header={"crit": ["b64"]}))
    yield vector("kid-missing", "kid is required.", mint(typ, header={"kid": _WITHOUT}))
    yield vector("kid-unknown", "The issuer publishes no such key.", mint(typ, header={"kid": "none-such"}))
    yield vector("foreign-key", "Signed by a key the issuer does not publish.", _foreign(typ))
    yield vector("signature-changed", "One bit of the signature is another.", _flipped(good))
    yield vector("payload-changed", "The payload is another than was signed.", _changed(typ))
    yield vector("padding", "base64url has no padding.", good.replace(".", "=.", 1))
    yield vector("two-parts", "A compact JWS has three parts.", good.rpartition(".")[0])
    yield vector("payload-array", "The payload is a JSON object.", _array(typ))
    yield vector("exp-past", "exp is in the past.", mint(typ, iat=NOW - 700, exp=NOW - 100), "expired")
    yield vector("exp-now", "exp is this very second: expired.", mint(typ, iat=NOW - 60, exp=NOW), "expired")
    yield vector("exp-missing", "exp is required.", mint(typ, exp=_WITHOUT))
    yield vector("exp-string", "exp is a number.", mint(typ, exp=str(NOW + 60)))
    yield vector("exp-boolean", "exp is a number.", mint(typ, exp=True))
    yield vector("iat-missing", "iat is required.", mint(typ, iat=_WITHOUT))
    yield vector("iat-future", "iat is far ahead.", mint(typ, iat=NOW + 200, exp=NOW + 260), "from_future")
    for claim in ("iss", "dwk", "jti", "sub"):
        yield vector(f"{claim}-missing", f"{claim} is required.", mint(typ, **{claim: _WITHOUT}))
        yield vector(f"{claim}-empty", f"{claim} is not empty.", mint(typ, **{claim: ""}))
    yield vector("iss-http", "iss is an https URL.", mint(typ, iss="http://ap.example"), where="#server-identifiers")
    yield vector(
        "iss-slash", "No trailing slash.", mint(typ, iss=CLAIMS[typ]["iss"] + "/"), where="#server-identifiers"
    )
    yield vector("iss-case", "Lower case.", mint(typ, iss="https://AP.example"), where="#server-identifiers")
    yield vector("iss-other", "Another issuer, which did not sign it.", mint(typ, iss="https://nobody.example"))
    yield vector(
        "dwk-of-another", "dwk names a document of this kind's issuers.", mint(typ, dwk="openid-configuration")
    )
    if "cnf" in CLAIMS[typ]:
        where = "#request-context-binding"
        yield vector("cnf-missing", "It is bound to no key.", mint(typ, cnf=_WITHOUT), where=where)
        yield vector("cnf-empty", "It is bound to no key.", mint(typ, cnf={}), where=where)
        yield vector("cnf-jkt", "cnf carries the key, not its thumbprint.", mint(typ, cnf={"jkt": "x"}), where=where)
        es256 = mint(typ, cnf=_cnf("agent-es256"))
        yield vector("cnf-es256", "Bound to an ES256 key.", es256, None, where)


def _special() -> Iterator[TokenVector]:
    agent, person, resource, auth = CLAIMS
    yield _of(agent, "other-domain", "An agent of another provider.", "#agent-tokens", sub="aauth:x@other.example")
    yield _of(
        agent, "no-aauth", "An agent identifier starts with aauth:.", "#agent-identifiers", sub="planner@ap.example"
    )
    yield _of(agent, "upper-host", "The domain is lower case.", "#agent-identifiers", sub="aauth:x@AP.example")
    yield _of(agent, "without-ps", "ps is optional.", "#agent-tokens", None, ps=_WITHOUT)
    yield _of(agent, "ps-not-a-server", "ps is a server identifier.", "#agent-tokens", ps="https://ps.example/path")
    sub = {"sub": "aauth:planner+search@ap.example", "parent_agent": AGENT}
    yield _of(agent, "sub-agent", "A sub-agent, with its parent.", "#sub-agents", None, **sub)
    yield _of(person, "hour", "Exactly one hour.", "#person-token-structure", None, exp=NOW + 3600)
    yield _of(person, "over-an-hour", "More than one hour.", "#person-token-structure", exp=NOW + 3601)
    yield _of(person, "mission", "In a mission.", "#person-token-structure", None, mission_s256=_MISSION)
    yield _of(person, "aud-missing", "aud is required.", "#person-token-structure", aud=_WITHOUT)
    yield _of(person, "aud-array", "aud is one server.", "#person-token-structure", aud=[RESOURCE])
    yield _of(auth, "over-an-hour", "More than one hour.", "#auth-tokens", exp=NOW + 3601)
    yield _of(auth, "ps-of-another", "A PS issues for itself.", "#auth-token-structure", ps="https://other.example")
    yield _of(auth, "aud-missing", "aud is required.", "#auth-token-structure", aud=_WITHOUT)
    access = {"iss": AS, "dwk": "aauth-access.json", "by": "as"}
    yield _of(auth, "of-an-access-server", "Issued by an AS.", "#auth-token-structure", None, **access)
    es256 = mint(auth, by="ps")
    yield TokenVector("auth-signed-es256", auth, "#signature-algorithms", "Signed with ES256.", es256, None)
    yield _of(resource, "for-an-access-server", "aud is the resource's AS.", "#resource-tokens", None, aud=AS)
    for claim in ("aud", "ps", "presented_jti", "agent_jkt"):
        yield _of(
            resource, f"{claim}-missing", f"{claim} is required.", "#resource-token-structure", **{claim: _WITHOUT}
        )


def _of(typ: str, name: str, says: str, section: str, error: str | None = "invalid", **claims: Any) -> TokenVector:
    return TokenVector(f"{_KIND[typ]}-{name}", typ, section, says, mint(typ, **claims), error)


def _unsigned(typ: str) -> str:
    key = KEYS[_ISSUER[typ]]
    return raw({"alg": "none", "typ": typ, "kid": key.kid}, CLAIMS[typ], key).rpartition(".")[0] + "."


def _foreign(typ: str) -> str:
    return mint(typ, by="stranger", header={"kid": KEYS[_ISSUER[typ]].kid})


def _flipped(token: str) -> str:
    signed, _, signature = token.rpartition(".")
    first = "B" if signature[0] == "A" else "A"
    return f"{signed}.{first}{signature[1:]}"


def _changed(typ: str) -> str:
    head, _, signature = mint(typ).split(".")
    other = mint(typ, sub="aauth:other@ap.example").split(".")[1]
    return f"{head}.{other}.{signature}"


def _array(typ: str) -> str:
    key = KEYS[_ISSUER[typ]]
    return raw({"alg": key.alg, "typ": typ, "kid": key.kid}, [CLAIMS[typ]], key)
