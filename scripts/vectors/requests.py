"""Signed requests, good ones and all that must be refused, with the `Signature-Error` that says why."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from aauthlib.base64url import b64url_encode
from aauthlib.http import Fields, Request
from aauthlib.httpsig import HWK, JKTJWT, JWKSURI, JWT, sign
from aauthlib.tokens.jkt import issue_jkt_jwt

from .parties import AS, KEYS, NOW, PS, RESOURCE
from .tokens import mint

__all__ = ["RequestVector", "request_vectors"]

_SCHEMES = ("hwk", "jwt", "jkt-jwt", "jwks_uri")
_ORDER = '"@method" "@authority" "@path" "signature-key"'


@dataclass(frozen=True)
class RequestVector:
    """One request and what has to come of it."""

    name: str
    section: str
    says: str
    request: Request
    error: str | None = None
    level: str | None = None
    schemes: tuple[str, ...] = _SCHEMES
    components: tuple[str, ...] = ()
    received_at: int = NOW
    extra: dict[str, Any] = field(default_factory=dict)

    def document(self, result: dict[str, Any]) -> dict[str, Any]:
        """As in `requests.json`, with what our verifier made of it."""
        return {
            "name": self.name,
            "section": self.section,
            "says": self.says,
            "request": {
                "method": self.request.method,
                "url": self.request.url,
                "headers": [list(pair) for pair in self.request.headers],
                "body": b64url_encode(self.request.body),
            },
            "received_at": self.received_at,
            "verifier": {
                "schemes": list(self.schemes),
                "algorithms": ["Ed25519", "ES256"],
                "window_s": 60,
                "additional_components": list(self.components),
            },
            "result": result,
        }


def _signed(
    target: str = "/calendar/events",
    token: str | None = None,
    *,
    by: str = "agent",
    method: str = "GET",
    body: bytes = b"",
    scheme: Any = None,
    created: int = NOW,
    headers: Iterable[tuple[str, str]] = (),
    **options: Any,
) -> Request:
    key = KEYS[by]
    fields = [*headers, *([("content-type", "application/json")] if body else [])]
    shown = scheme if scheme is not None else JWT(token) if token is not None else HWK.of(key.public)
    return sign(Request(method, RESOURCE + target, Fields(fields), body), key, shown, created=created, **options)


def _edited(request: Request, name: str, edit: Callable[[str], str | None]) -> Request:
    value = edit(request.headers.get(name) or "")
    kept = [(n, v) for n, v in request.headers if n != name]
    return replace(request, headers=Fields([*kept, *([(name, value)] if value is not None else [])]))


def request_vectors() -> Iterator[RequestVector]:
    """Every vector of `requests.json`."""
    yield from _valid()
    yield from _refused()
    yield from _tokens()


def _valid() -> Iterator[RequestVector]:
    where = "#verification"
    agent, person, auth = mint("aa-agent+jwt"), mint("aa-person+jwt"), mint("aa-auth+jwt")
    access = mint("aa-auth+jwt", by="as", iss=AS, dwk="aauth-access.json")

    def good(name: str, says: str, request: Request, level: str, section: str = where, **more: Any) -> RequestVector:
        return RequestVector(name, section, says, request, None, level, **more)

    yield good("hwk-ed25519", "A bare key: a pseudonym.", _signed(), "pseudonym", "#keying-material")
    yield good("hwk-es256", "The same with ES256.", _signed(by="agent-es256"), "pseudonym", "#signature-algorithms")
    yield good("agent-token", "An agent.", _signed(token=agent), "identified", "#keying-material")
    yield good("person-token", "An agent, for a person.", _signed(token=person), "person", "#keying-material")
    yield good("auth-token", "With an auth token of the PS.", _signed(token=auth), "authorized", "#keying-material")
    yield good("auth-token-of-as", "With one of an AS.", _signed(token=access), "authorized", "#keying-material")
    server = _signed(by="ps-ed25519", scheme=JWKSURI(PS, "aauth-person.json", "ps-2"))
    yield good("jwks-uri", "A server in its own right.", server, "identified", "#keying-material")
    naming = issue_jkt_jwt(KEYS["durable"], KEYS["agent"].public, jti="jkt-1", now=NOW)
    yield good("jkt-jwt", "A durable key names this one.", _signed(scheme=JKTJWT(naming)), "pseudonym")
    post = _signed(token=agent, method="POST", body=b'{"title":"Lunch"}')
    yield good("body-covered", "The body, by its digest.", post, "identified", "#covered-components")
    loose = _signed(token=agent, method="POST", body=b'{"title":"Lunch"}', cover_body=False)
    yield good("body-not-covered", "A body need not be covered.", loose, "identified", "#covered-components")
    query = _signed("/calendar/events?from=2026-01-01&to=%20x", agent, components=["@query"])
    yield good("query-covered", "@query when asked for.", query, "identified", components=("@query",))
    yield good("query-not-covered", "Else the query is not covered.", _signed("/a?b=c", agent), "identified")
    yield good("path-encoded", "The path as sent.", _signed("/caf%C3%A9/%7Euser", agent), "identified")
    yield good("path-empty-query", "A lone question mark.", _signed("/events?", agent), "identified")
    more = _signed(token=agent, headers=[("x-trace", " a  b ")], components=["x-trace"])
    yield good("field-covered", "A field, its value stripped.", more, "identified", components=("x-trace",))
    twice = _signed(token=agent, headers=[("x-trace", "a"), ("x-trace", "b")], components=["x-trace"])
    yield good("field-twice", "Two lines are one value.", twice, "identified", components=("x-trace",))
    yield good("expires", "expires lies ahead.", _signed(token=agent, expires=NOW + 30), "identified")
    yield good("keyid", "keyid is the key's thumbprint.", _keyed(agent, KEYS["agent"].public.thumbprint), "identified")
    yield good("nonce-and-tag", "RFC 9421's own.", _signed(token=agent, nonce="n1", tag="t1"), "identified")
    yield good("label", "Any label.", _signed(token=agent, label="my-sig_1"), "identified")
    old, ahead = NOW - 60, NOW + 60
    yield good("created-60-s-ago", "At the edge of the window.", _signed(token=agent, created=old), "identified")
    yield good("created-60-s-ahead", "At its other edge.", _signed(token=agent, created=ahead), "identified")
    yield good("unsigned", "Nobody in particular.", Request("GET", RESOURCE + "/", Fields(), b""), "anonymous")


def _keyed(token: str, keyid: str) -> Request:
    return _signed(token=token, keyid=keyid)


def _refused() -> Iterator[RequestVector]:
    good = _signed(token=mint("aa-agent+jwt"))
    invalid = "invalid_signature"

    def bad(name: str, says: str, request: Request, error: str = invalid, **more: Any) -> RequestVector:
        return RequestVector(name, more.pop("section", "#verification"), says, request, error, None, **more)

    for header in ("signature", "signature-input", "signature-key"):
        yield bad(f"without-{header}", f"{header} is missing.", _edited(good, header, lambda _: None))
        yield bad(f"empty-{header}", f"{header} is empty.", _edited(good, header, lambda _: ""))
        yield bad(f"broken-{header}", f"{header} is no dictionary.", _edited(good, header, lambda v: f'"{v}'))
        other = _edited(good, header, lambda v: v.replace("sig=", "other=", 1))
        yield bad(f"label-{header}", f"{header} has another label than the others.", other)
    yield bad("method-changed", "Signed for GET.", replace(good, method="DELETE"))
    yield bad("path-changed", "Signed for another path.", replace(good, url=RESOURCE + "/admin"))
    yield bad("path-case", "Paths differ in case.", replace(good, url=RESOURCE + "/Calendar/events"))
    yield bad(
        "authority-changed", "Signed for another server.", replace(good, url="https://evil.example/calendar/events")
    )
    yield bad("signature-changed", "One character of it.", _edited(good, "signature", _flip))
    yield bad("signature-short", "Half of it.", _edited(good, "signature", lambda v: v[:48] + ":"))
    yield bad("key-substituted", "Another key's holder takes it over.", _substituted(good))
    for name in ("@method", "@authority", "@path", "signature-key"):
        left = " ".join(part for part in _ORDER.split() if part != f'"{name}"')
        stripped = _edited(good, "signature-input", lambda v, left=left: v.replace(_ORDER, left))
        yield bad(f"not-covering-{name.strip('@')}", f"{name} is not covered.", stripped, "invalid_input")
    query = _signed("/a?b=c", mint("aa-agent+jwt"))
    yield bad("not-covering-query", "@query was asked for.", query, "invalid_input", components=("@query",))
    without = _edited(good, "signature-input", lambda v: v.replace(f";created={NOW}", ""))
    yield bad("created-missing", "created is required.", without)
    for name, created, error in (("past", NOW - 61, invalid), ("future", NOW + 61, "clock_skew")):
        request = _signed(token=mint("aa-agent+jwt"), created=created)
        yield bad(f"created-{name}", f"created is 61 seconds in the {name}.", request, error)
    past = _signed(token=mint("aa-agent+jwt"), created=NOW - 30, expires=NOW - 1)
    yield bad("expires-past", "expires has passed.", past)
    foreign = _keyed(mint("aa-agent+jwt"), KEYS["stranger"].public.thumbprint)
    yield bad("keyid-of-another", "keyid names another key.", foreign)
    post = _signed(token=mint("aa-agent+jwt"), method="POST", body=b"{}")
    yield bad("body-changed", "The covered body is another.", replace(post, body=b"[]"))
    yield bad("digest-removed", "A covered field is gone.", _edited(post, "content-digest", lambda _: None))
    unknown = _edited(good, "signature-key", lambda _: 'sig=magic;a="b"')
    yield bad("scheme-unknown", "No such scheme.", unknown, "unsupported_scheme", section="#keying-material")
    yield bad("scheme-refused", "Not accepted here.", _signed(), "unsupported_scheme", schemes=("jwt",))
    hwk = _signed()
    private = _edited(hwk, "signature-key", lambda v: v + f';d="{KEYS["agent"].to_private_jwk()["d"]}"')
    yield bad("hwk-private", "A private key was sent.", private, "invalid_key")
    no_alg = _edited(hwk, "signature-key", lambda v: v.replace(';alg="Ed25519"', ""))
    yield bad("hwk-without-alg", "alg is required.", no_alg, "unsupported_algorithm")
    eddsa = _edited(hwk, "signature-key", lambda v: v.replace('alg="Ed25519"', 'alg="EdDSA"'))
    yield bad("hwk-eddsa", "EdDSA is polymorphic.", eddsa, "unsupported_algorithm")
    weak = _edited(hwk, "signature-key", lambda v: v.replace(KEYS["agent"].public.to_jwk()["x"], "A" * 43))
    yield bad("hwk-small-order", "Anybody can sign under that point.", weak, "invalid_key")
    unknown_server = _signed(by="ps-ed25519", scheme=JWKSURI(PS, "aauth-person.json", "none-such"))
    yield bad("jwks-uri-kid", "No such key at the server.", unknown_server, "unknown_key")


def _tokens() -> Iterator[RequestVector]:
    def bad(name: str, says: str, token: str, error: str = "invalid_jwt", by: str = "agent") -> RequestVector:
        return RequestVector(f"jwt-{name}", "#verification", says, _signed(token=token, by=by), error)

    yield bad("of-another-key", "A stolen token.", mint("aa-auth+jwt"), "invalid_signature", by="stranger")
    yield bad("resource-token", "A resource token is no credential.", mint("aa-resource+jwt"))
    yield bad("expired", "The token has expired.", mint("aa-agent+jwt", iat=NOW - 700, exp=NOW - 1), "expired_jwt")
    yield bad("forged", "Signed by somebody else.", mint("aa-agent+jwt", by="stranger", header={"kid": "ap-1"}))
    yield bad("kid", "The issuer has no such key.", mint("aa-agent+jwt", header={"kid": "ap-9"}), "unknown_key")
    for host, says, error in (
        ("nobody", "The issuer publishes nothing.", "unknown_key"),
        ("unnamed", "The issuer's metadata has no issuer.", "issuer_missing"),
        ("impostor", "The issuer's metadata names another issuer.", "issuer_mismatch"),
    ):
        of = {"iss": f"https://{host}.example", "sub": f"aauth:x@{host}.example"}
        yield bad(f"issuer-{host}", says, mint("aa-agent+jwt", **of), error)
    yield bad("without-cnf", "It is bound to no key.", mint("aa-person+jwt", cnf={}))


def _flip(value: str) -> str:
    at = value.index(":") + 1
    return value[:at] + ("B" if value[at] == "A" else "A") + value[at + 1 :]


def _substituted(request: Request) -> Request:
    stranger = HWK.of(KEYS["stranger"].public)
    other = _signed(by="stranger", scheme=stranger).headers.get("signature-key") or ""
    return _edited(request, "signature-key", lambda _: other)
