"""Where the corpus begins: valid values of every kind, and what has gone wrong elsewhere.

`python -m fuzz.seeds` writes them. A corpus that lost its seeds (or a target that is new) is filled again; inputs that
are there stay.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from aauthlib.base64url import b64url_decode
from aauthlib.http import Fields, Request, Response
from aauthlib.httpsig import JWT, content_digest, sign
from aauthlib.httpsig.components import Context
from aauthlib.httpsig.messages import SignatureParameters, sign_message
from aauthlib.httpsig.requesting import RequestedSignature, serialize_accept_signature
from aauthlib.keys import JWKS

from .parties import (
    AGENT_KEY,
    AGENT_TOKEN,
    AUTH_TOKEN,
    CHAIN,
    ISSUER_KEY,
    NOW,
    PERSON,
    PERSON_TOKEN,
    PROVIDER,
    REQUESTS,
    RESOURCE,
    TOKENS,
)

__all__ = ["CORPUS", "seeds", "write"]

CORPUS = Path(__file__).parent / "corpus"

_HEADERS = (
    f'aauth-requirement: requirement=auth-token;resource-token="{AUTH_TOKEN}"',
    'aauth-requirement: requirement=interaction;url="https://ps.example/i/1";code="ABCD-1234"',
    'signature-error: error=invalid_input;x=1, required_input=("@method" "@authority" "content-digest")',
    "signature-error: error=clock_skew",
    "signature-error: error=cache_miss\naccept-signature-scheme: jwt, hwk\naccept-signature-alg: Ed25519, ES256",
    "prefer: respond-async, wait=45",
    'prefer: wait="10"; x=1',
    "retry-after: 120",
    "retry-after: Fri, 07 Nov 2026 10:00:00 GMT",
    "retry-after: Fri, 31 Dec 9999 23:59:59 -9959",
    "aauth-capabilities: interaction, clarification, payment;x=?1",
    "aauth-access: c2Vzc2lvbi10b2tlbg==",
    "authorization: AAuth c2Vzc2lvbg",
    "content-digest: sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:, sha-512=:AA==:\n\n",
    'x: a=1, b=2.5;c, d=(1 2 "x" :YQ==: @1659578233 %"f%c3%bc");e=tok/en, f=?0',
)

_URLS = (
    "https://ps.example",
    "https://xn--mnchen-3ya.example:8443",
    "http://ps.localhost:8000",
    "https://ps.example/a/b?c=d#e",
    "http://127.0.0.1:9000/callback",
    "https://ps.example.:443",
    "https://user@ps.example\\@evil.example",
    "https://0x7f.1/",
    "aauth:assistant+sub@provider.example",
    "abcd-efgh",
    "ABCDEFG1 ",
    "AAAA_-8",
)


def _lines(*values: object) -> bytes:
    return "\n".join(str(value) for value in values).encode("latin-1")


def _claims() -> Iterator[bytes]:
    for token in TOKENS:
        header, payload, _ = token.split(".")
        yield b64url_decode(header) + b"\n" + b64url_decode(payload)
    header = b'{"alg":"Ed25519","typ":"aa-agent+jwt","kid":"issuer-1"}\n'
    yield header + b'{"exp":1e400,"iat":-0}'
    yield header + b"[" * 5000
    yield header + b'{"iss":"\\u0000\\ud800","exp":9007199254740993}'


def _documents() -> Iterator[bytes]:
    url = {
        name: f"{PERSON}/{name}" for name in ("jwks_uri", "auth_token_endpoint", "person_token_endpoint", "logo_uri")
    }
    yield json.dumps(
        {"issuer": PERSON, **url, "scopes_supported": ["email"], "accept_signature_algs": ["Ed25519"]}
    ).encode()
    yield json.dumps(
        {"issuer": PROVIDER, "jwks_uri": f"{PROVIDER}/jwks.json", "localhost_callback_allowed": True}
    ).encode()
    yield json.dumps(
        {
            "issuer": RESOURCE,
            "access_mode": "auth-token",
            "authorization_endpoint": f"{RESOURCE}/authorize",
            "scope_descriptions": {"events.read": "Read **events**"},
            "signature_window": 30,
            "additional_signature_components": ["content-digest"],
        }
    ).encode()
    yield json.dumps(JWKS.of(ISSUER_KEY).to_document()).encode()
    yield b'{"keys":[{"kid":"a","kty":"EC","crv":"P-256","alg":"ES256","x":"AA","y":"AA"},{"kty":"RSA","n":"AQAB"}]}'


def _discovery() -> Iterator[bytes]:
    metadata = json.dumps({"issuer": PROVIDER, "jwks_uri": f"{PROVIDER}/jwks.json"}).encode()
    keys = json.dumps(JWKS.of(ISSUER_KEY).to_document()).encode()
    for cache in (
        b"cache-control: max-age=3600",
        b"expires: Fri, 07 Nov 2030 10:00:00 GMT\nage: 5",
        b"cache-control: no-store",
    ):
        yield b"content-type: application/json\n" + cache + b"\n\n" + metadata + b"\n\n" + keys


def _bodies() -> Iterator[bytes]:
    yield json.dumps(
        {"resource": RESOURCE, "capabilities": ["interaction"], "device": "Laptop", "platform": "web"}
    ).encode()
    yield json.dumps(
        {"resource_token": AGENT_TOKEN, "presented_token": AUTH_TOKEN, "justification": "To *see*"}
    ).encode()
    yield json.dumps({"person_token": AGENT_TOKEN, "auth_token": AUTH_TOKEN, "expires_in": 3600}).encode()
    yield b'{"scope":"a b","account":"x","jti":"a","exp":1790000000,"action":"answer","clarification_response":"yes"}'
    yield b'{"type":"about:blank","title":"x","status":403,"detail":"no","error":"denied","retry_after":5}'


def _messages() -> Iterator[tuple[str, bytes]]:
    """Signed and asked for: every component parameter, requests and responses."""
    fields = Fields({"content-digest": content_digest(b"{}"), "x-list": "a, b", "priority": "u=1, i"})
    trailers = Fields({"x-trailer": "t"})
    for covered in (
        ("@method", "@target-uri", '"@query-param";name="d"', '"content-digest";key="sha-256"'),
        ("@path", "@query", "@scheme", "@request-target", '"x-list";bs', '"priority";sf', '"x-trailer";tr'),
    ):
        request = Request("POST", f"{RESOURCE}/a?b=c&d=%C3%A9&b=e+f", fields, b"{}")
        parameters = SignatureParameters(NOW, "key", "ed25519", NOW + 60, "n", "t")
        context = Context(request, trailers=trailers)
        yield "messages", b"\0" + _written(sign_message(request, AGENT_KEY, covered, parameters, context=context))
    response = Response(200, fields, b"{}")
    context = Context(response, REQUESTS[6])
    covered = ("@status", '"@method";req', '"signature";req;key="sig"', '"content-digest";req')
    yield (
        "messages",
        b"\1" + _written(sign_message(response, AGENT_KEY, covered, SignatureParameters(NOW), context=context)),
    )
    asked = RequestedSignature("sig1", ("@status", '"content-digest";req'), created=True, expires=True, tag="app")
    yield "messages", b"\1accept-signature: " + serialize_accept_signature([asked]).encode()
    yield (
        "messages",
        b'\0accept-signature: a=("@method" "x-list";bs);created;nonce="b\\"";alg="ed25519", b=()\nx-list: 1\n',
    )


def _written(message: Request | Response) -> bytes:
    head = "\n".join(f"{name}: {value}" for name, value in message.headers)
    return f"{head}\n\nx-trailer: t\n\n".encode() + message.body


def _served() -> Iterator[tuple[str, bytes]]:
    """Requests to every kind of route, with the token it wants and with others."""
    wanted = [("GET", "/hello"), ("GET", "/events/1"), ("GET", "/person"), ("GET", "/auth/1"), ("POST", "/held")]
    for method, path in (*wanted, ("GET", "/managed"), ("POST", "/aauth/authorize"), ("POST", "/aauth/revoke")):
        for token in (AGENT_TOKEN, PERSON_TOKEN, AUTH_TOKEN):
            body = b'{"scope":"events.read"}' if method == "POST" else b""
            request = Request(method, RESOURCE + path, Fields({"content-type": "application/json"}), body)
            signed = sign(request, AGENT_KEY, JWT(token), created=NOW)
            head = "\n".join(f"{name}: {value}" for name, value in signed.headers)
            yield "middleware", f"{method} {path}\n{head}\n\n".encode() + body
    yield "middleware", b"GET /.well-known/aauth-resource.json\n"
    yield "middleware", b"GET /aauth/pending/abc\nprefer: wait=5\n"
    yield "middleware", b"POST /aauth/interaction/abc\ncontent-type: application/x-www-form-urlencoded\n\ncode=A"


def seeds() -> Iterator[tuple[str, bytes]]:
    """(target, input) pairs."""
    for line in _HEADERS:
        yield "headers", line.encode("latin-1")
    for number, request in enumerate(REQUESTS):
        fields = [request.headers.get(name) for name in ("signature-input", "signature", "signature-key")]
        yield (
            "headers",
            _lines(f"signature-key: {fields[2]}", f"signature-input: {fields[0]}", f"signature: {fields[1]}"),
        )
        yield "signature", _lines(*fields)
        for steps in (
            b"",
            b"\x0b\x00",
            b"\x00\x02\x08sig=hwk ",
            b"\x08\x02\x03\x08\x00\x03",
            b"\x07\x00\x03{ }",
            b"\x0a\x00\x02s2",
        ):
            yield "verification", bytes([number]) + steps
        head = "\n".join(f"{name}: {value}" for name, value in request.headers)
        yield "captured", f"{request.method} {request.target} HTTP/1.1\n{head}\n\n".encode() + request.body
    yield "captured", b"GET https://resource.example/ HTTP/1.1\nhost: \n\n"
    yield (
        "signature",
        b'a=("@method");created=1, b=()\na=:AA==:, b=:AA==:\nb=hwk;kty="OKP", a=jwks_uri;id="x";dwk="y";kid="z"',
    )
    yield from _served()
    yield from _messages()
    yield "certificates", CHAIN
    for token in TOKENS:
        yield "jwt", token.encode()
    yield "jwt", b"eyJhbGciOiJub25lIn0.e30."
    for target, values in (
        ("claims", _claims()),
        ("documents", _documents()),
        ("discovery", _discovery()),
        ("bodies", _bodies()),
        ("identifiers", map(str.encode, _URLS)),
    ):
        for value in values:
            yield target, value


def write() -> None:
    """Write the seeds that the corpus lacks."""
    for target, data in seeds():
        folder = CORPUS / target
        folder.mkdir(parents=True, exist_ok=True)
        (folder / hashlib.sha1(data, usedforsecurity=False).hexdigest()).write_bytes(data)


if __name__ == "__main__":
    write()
