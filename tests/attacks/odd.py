"""What is sent by somebody who means no good, or whose program is broken: strategies for property tests."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote, urlencode

from hypothesis import strategies as st

from aauthlib.base64url import b64url_encode
from aauthlib.keys import SigningKey

from .town import Town
from .world import CALENDAR, EVIL_AP, EVIL_PS, EVIL_RESOURCE, PS

ODD = [
    "",
    " ",
    "\x00",
    "a\x00b",
    "\ud800",
    "a\udfffb",
    "\u202e",
    "\u2028",
    "é",
    "𝔘𝔫𝔦",
    "x" * 5_000,
    "x" * 70_000,
    "'; DROP TABLE pending; --",
    "{{7*7}}",
    "<script>alert(1)</script>",
    "../../etc/passwd",
    "https://",
    "https://calendar.example",
    "https://calendar.example\r\nx: y",
    "https://[::1]",
    "null",
    "%00",
    "%s%n",
]
TEXT = st.sampled_from(ODD) | st.text(st.characters(), max_size=40)
NUMBERS = (
    st.sampled_from([0, -1, 1, 2**31, 2**53 + 1, 2**63, 2**64, 10**30, -(2**63) - 1, 1e308, 0.5, float("nan")])
    | st.sampled_from([float("inf"), -float("inf"), -0.0, 1_800_000_100, 1_800_003_599.5])
    | st.integers()
    | st.floats()
)
LEAF = st.none() | st.booleans() | NUMBERS | TEXT
VALUE = st.recursive(
    LEAF,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=8,
)
RAW_BODIES = st.sampled_from(
    [
        b"",
        b" ",
        b"{",
        b"{}",
        b"[]",
        b"null",
        b"true",
        b"1",
        b'"x"',
        b"NaN",
        b"{}{}",
        b'{"a":1,}',
        b"{'a':1}",
        b"\xef\xbb\xbf{}",
        b"\xff\xfe{\x00}\x00",
        b'{"resource":"\xff"}',
        b'{"resource":"\\ud800"}',
        b'{"resource":"\\u0000"}',
        b'{"resource":NaN}',
        b'{"resource":Infinity}',
        b'{"resource":1e999}',
        b'{"resource":"https://calendar.example","resource":"https://mail.example"}',
        b'{"scope":"calendar.read","scope":[]}',
        b'{"jti":"a","jti":1,"exp":1}',
        b'{"jti":"a","exp":1e400}',
        b'{"jti":"a","exp":99999999999999999999999999}',
        b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
        b"[" * 60_000,
        b'{"' + b"a" * 100_000 + b'":1}',
        b"resource=https%3A%2F%2Fcalendar.example",
        b"<?xml version='1.0'?><a/>",
        bytes(range(256)),
    ]
) | st.binary(max_size=200)


def mutated(valid: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A valid document with members replaced, removed, or added."""
    names = st.sampled_from([*valid, "unknown"])

    def change(changes: list[tuple[str, str, Any]]) -> dict[str, Any]:
        document = dict(valid)
        for name, how, value in changes:
            if how == "remove":
                document.pop(name, None)
            elif how == "inside" and isinstance(document.get(name), dict):
                document[name] = {**document[name], **(value if isinstance(value, dict) else {"jwk": value})}
            else:
                document[name] = value
        return document

    return st.lists(
        st.tuples(names, st.sampled_from(["replace", "replace", "remove", "inside"]), VALUE), min_size=1, max_size=3
    ).map(change)


def dumped(document: Any) -> bytes:
    """JSON as lenient writers make it: NaN, lone surrogates and all."""
    return json.dumps(document).encode()


def bodies(valid: dict[str, Any]) -> st.SearchStrategy[bytes]:
    return mutated(valid).map(dumped) | VALUE.map(dumped) | RAW_BODIES


@st.composite
def scrambled(draw: st.DrawFn, text: str) -> str:
    """Text with a few characters inserted, removed, repeated or exchanged."""
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(text) - 1)))
        how = draw(st.sampled_from(["insert", "remove", "replace", "repeat", "cut", "double"]))
        piece = draw(
            st.sampled_from([*'"\\();,=:*?.- \t@&%[]{}\x00\x7f\xff', "sig", "jwt", '";', "()", ":AA==:", "1", "é"])
        )
        match how:
            case "insert":
                text = text[:at] + piece + text[at:]
            case "remove":
                text = text[:at] + text[at + 1 :]
            case "replace":
                text = text[:at] + piece + text[at + 1 :]
            case "repeat":
                text = text[:at] + text[at : at + 20] * 2 + text[at + 20 :]
            case "cut":
                text = text[:at]
            case "double":
                text = f"{text}, {text}"
    return text


def assembled(header: Any, payload: Any, key: SigningKey) -> str:
    """A JWT whose parts are whatever is given, validly signed."""
    text = ".".join(b64url_encode(dumped(part)) for part in (header, payload))
    return f"{text}.{b64url_encode(key.sign(text.encode()))}"


# ------------------------------------------------------------------------- headers, addresses and forms

#: Structured fields that are unusual, valid or not.
FIELDS = [
    "",
    "sig",
    "sig=",
    "sig=()",
    "sig=();created=1",
    "sig=?1",
    "sig=1.5",
    "sig=@1659578233",
    'sig=%"f%c3%bc"',
    "sig=:AA==:",
    "sig=::",
    "sig=:A:",
    "sig=:====:",
    'sig=("a" "b";c);created=1',
    "sig=(1 2 3)",
    "sig=((()))",
    'sig=("@method" "@authority" "@path" "signature-key");created=99999999999999999999',
    'sig=("@method" "@authority" "@path" "signature-key");created=-1',
    'sig=("@method" "@authority" "@path" "signature-key");created=1800000000;expires=?1',
    'sig=("@method" "@authority" "@path" "signature-key");created=1800000000;keyid=1;alg=1;nonce=x;tag=y',
    "sig=jwt",
    "sig=jwt;jwt",
    "sig=jwt;jwt=1",
    "sig=jwt;jwt=a.b.c",
    'sig=jwt;jwt=""',
    'sig=jwt;jwt=".."',
    'sig=jwt;jwt="a.b.c"',
    'sig=jwt;jwt="e30.e30.e30"',
    'sig=jwt;jwt="\\"\\\\"',
    "sig=jkt-jwt",
    'sig=jkt-jwt;jwt="e30.e30.e30"',
    "sig=hwk",
    "sig=hwk;kty",
    'sig=hwk;kty="OKP"',
    'sig=hwk;kty="OKP";crv="Ed25519";x="AAAA";alg="Ed25519"',
    'sig=hwk;kty="oct";k="AAAA";alg="HS256"',
    'sig=hwk;kty="EC";crv="P-256";x="' + "A" * 43 + '";y="' + "A" * 43 + '";alg="ES256"',
    "sig=jwks_uri",
    'sig=jwks_uri;id="https://evil-agents.example"',
    'sig=jwks_uri;id="https://evil-agents.example";dwk="../x";kid="y"',
    'sig=jwks_uri;id="https://127.0.0.1";dwk="aauth-agent.json";kid="y"',
    'sig=x509;x5u="https://evil.example/"',
    "sig=cached;id=x",
    "sig=(hwk);kty=OKP",
    'sig="jwt";jwt="a.b.c"',
    ",",
    ";",
    "=",
    "sig=jwt,",
    "SIG=jwt",
    "sig=jwt;jwt=\x00",
    "\x00",
    "\xff" * 10,
    "a=1, " * 2_000,
    "sig=" + "a" * 50_000,
]


def latin(text: str) -> str:
    """As a header can carry it; a server refuses line breaks before an application sees them."""
    return text.encode("latin-1", "replace").decode("latin-1").replace("\r", "").replace("\n", "")


SEGMENT = TEXT.map(lambda text: quote(text.encode("utf-8", "surrogatepass")[:300], safe="")) | st.sampled_from(
    [
        "%",
        "%zz",
        "%00",
        "%ff",
        "%2e%2e",
        "a%2fb",
        "..",
        "%c3%28",
        "x" * 300,
        "0" * 64,
        "9" * 30,
        "9" * 5000,
        "%C2%B2",
        "-1",
    ]
)
QUERY = st.dictionaries(
    st.sampled_from(["code", "callback", "next", "error", "saved", "again", "v", "x"]),
    TEXT.map(lambda t: t[:3000]),
    max_size=4,
).map(lambda query: urlencode({k: v.encode("utf-8", "surrogatepass") for k, v in query.items()})) | st.sampled_from(
    ["", "?", "&&&", "=&=", "code=%", "code=%ff%fe", "code=%00", "code[]=1", "a=1&" * 500, "\x00", "%" * 999]
)
HEADERS = st.dictionaries(
    st.sampled_from(
        [
            "host",
            "origin",
            "referer",
            "cookie",
            "authorization",
            "content-type",
            "content-length",
            "transfer-encoding",
            "prefer",
            "accept",
            "accept-language",
            "user-agent",
            "sec-fetch-site",
            "aauth-capabilities",
            "signature",
            "signature-input",
            "signature-key",
            "content-digest",
            "range",
            "if-none-match",
            "expect",
            "upgrade",
            "x-odd",
        ]
    ),
    st.sampled_from(
        [
            *FIELDS[:20],
            "AAuth",
            "AAuth x",
            "AAuth a b",
            "AAuth \xff",
            "Bearer x",
            "wait=99999999999999999999",
            "wait=-1",
            "wait=\xb2",
            "respond-async, wait=1",
            "a=b; __Host-aauth-person=x; __Host-aauth-form=" + "y" * 40,
            "__Host-aauth-person=" + "x" * 43,
            '__Host-aauth-form="\\303\\251\\377"' + "z" * 40,
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=",
            "application/json",
            "null",
            "chunked",
            "bytes=0-",
            "h2c",
        ]
    )
    | st.text(st.characters(max_codepoint=255), max_size=30),
    max_size=5,
)
METHODS = st.sampled_from(
    ["GET", "POST", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "QUERY", "get", "X" * 40]
)
FORMS = st.lists(st.tuples(TEXT, TEXT), max_size=5).map(
    lambda pairs: urlencode([(octets(name), octets(value)) for name, value in pairs]).encode()
)


def octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


FIELD_VALUES = TEXT | st.sampled_from(
    ["approve", "deny", "none", "yes", "0" * 64, "ff", "zz", PS, CALENDAR, "calendar.read"]
)
CREDENTIALS = st.sampled_from(
    [
        "{}",
        "[]",
        "null",
        '{"id":1}',
        '{"id":"x","rawId":"x","type":"public-key","response":{}}',
        '{"id":"AA","rawId":"AA","type":"public-key","response":{"clientDataJSON":"AA","attestationObject":"AA"}}',
        '{"id":"AA","rawId":"AA","type":"public-key","response":{"clientDataJSON":"e30","authenticatorData":"AA",'
        '"signature":"AA","userHandle":"AA"}}',
        '{"id":"AA","rawId":"AA","type":"public-key","response":{"clientDataJSON":'
        '"eyJ0eXBlIjoid2ViYXV0aG4uZ2V0IiwiY2hhbGxlbmdlIjoiQUEiLCJvcmlnaW4iOiJ4In0","authenticatorData":"",'
        '"signature":""}}',
        "[" * 10_000,
    ]
)


# ------------------------------------------------------------------------- tokens

SHAPES = {
    "agent": ("aa-agent+jwt", EVIL_AP, "aauth-agent.json"),
    "person": ("aa-person+jwt", EVIL_PS, "aauth-person.json"),
    "auth": ("aa-auth+jwt", EVIL_PS, "aauth-person.json"),
    "resource": ("aa-resource+jwt", EVIL_RESOURCE, "aauth-resource.json"),
}


def claims_of(town: Town, kind: str) -> dict[str, Any]:
    """Claims a token of the attacker's would be accepted with, as far as anybody can."""
    _, issuer, dwk = SHAPES[kind]
    now = int(town.city.clock())
    claims: dict[str, Any] = {"iss": issuer, "dwk": dwk, "jti": "j", "iat": now, "exp": now + 600}
    cnf = {"jwk": town.evil.key.public.to_jwk()}
    if kind == "agent":
        return {
            **claims,
            "sub": "aauth:e@evil-agents.example",
            "cnf": cnf,
            "ps": PS,
            "parent_agent": "aauth:f@evil-agents.example",
        }
    if kind == "person":
        return {**claims, "aud": CALENDAR, "sub": "evil", "cnf": cnf, "tenant": "t", "mission_s256": "m"}
    if kind == "auth":
        return {
            **claims,
            "aud": CALENDAR,
            "sub": "evil",
            "cnf": cnf,
            "ps": issuer,
            "scope": "calendar.read",
            "account": "a",
        }
    return {
        **claims,
        "aud": PS,
        "ps": PS,
        "sub": "evil",
        "presented_jti": "evil",
        "agent_jkt": town.evil.key.thumbprint,
        "scope": "calendar.read",
        "account": "a",
        "login_hint": "h",
        "tenant": "t",
        "mission_s256": "m",
        "interaction": {"url": "https://evil-resource.example/x", "code": "c"},
    }


def tokens(town: Town, kind: str) -> st.SearchStrategy[str]:
    """Tokens of the attacker's: structurally valid with any claims, or a valid one scrambled."""
    typ, _, _ = SHAPES[kind]
    header = {"alg": "Ed25519", "typ": typ, "kid": town.city.evil.kid}
    valid = claims_of(town, kind)
    whole = st.builds(
        assembled, st.just(header) | mutated(header), mutated(valid) | st.just(valid) | VALUE, st.just(town.city.evil)
    )
    return whole | scrambled(assembled(header, valid, town.city.evil)).map(plain)


def plain(text: str) -> str:
    return "".join(
        character for character in text if character.isascii() and character.isprintable() and character not in '"\\'
    )
