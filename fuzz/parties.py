"""Fixed parties: keys, tokens and signed requests that are the same on every machine and in every run.

What the fuzzer mutates starts from here, so an input in the corpus means the same everywhere.
"""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from aauthlib import jws
from aauthlib.base64url import b64url_encode
from aauthlib.discovery import StaticDirectory
from aauthlib.effects import FindCertificates, FindKey, FindKeyAt, FindMetadata, Flow
from aauthlib.errors import AAuthError
from aauthlib.http import Fields, Request
from aauthlib.httpsig import (
    HWK,
    JKTJWT,
    JWKSURI,
    JWT,
    X509,
    Cached,
    DirectJWKS,
    LabelledSigner,
    SelfJWT,
    SignatureKey,
    sign,
    sign_all,
)
from aauthlib.keys import JWKS, SigningKey
from aauthlib.tokens import (
    PersonToken,
    VerificationPolicy,
    issue_agent_token,
    issue_auth_token,
    issue_jkt_jwt,
    issue_person_token,
    issue_resource_token,
    profile,
)
from aauthlib.verification import AssertionCache, SchemeSupport, SelfIssuedPolicy, TrustedRoots
from aauthlib.verification.certificates import read_pem, x5t_of

NOW = 1_790_000_000
PROVIDER, PERSON, RESOURCE = "https://provider.example", "https://ps.example", "https://resource.example"


def _key(number: int, kid: str | None = None) -> SigningKey:
    private = Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)
    jwk = {
        "kty": "OKP",
        "crv": "Ed25519",
        "alg": "Ed25519",
        "x": b64url_encode(private.public_key().public_bytes_raw()),
        "d": b64url_encode(private.private_bytes_raw()),
    }
    return SigningKey.from_jwk(jwk | ({"kid": kid} if kid else {}))


ISSUER_KEY = _key(1, "issuer-1")
AGENT_KEY = _key(2)
DURABLE_KEY = _key(3)


def _certified_key() -> SigningKey:
    """The key that the first certificate in chain.pem is about."""
    scalar = 0x22
    point = ec.derive_private_key(scalar, ec.SECP256R1()).public_key().public_numbers()
    numbers = {"x": point.x, "y": point.y, "d": scalar}
    members = {name: b64url_encode(number.to_bytes(32, "big")) for name, number in numbers.items()}
    return SigningKey.from_jwk({"kty": "EC", "crv": "P-256", "alg": "ES256", **members})


CERTIFIED_KEY = _certified_key()
#: An end-entity certificate and the root that signed it, both valid until 2028.
CHAIN = (Path(__file__).parent / "chain.pem").read_bytes()
CERTIFICATES = read_pem(CHAIN)
KEY_SET_URL = "https://signer.example/keys.json"

DIRECTORY = StaticDirectory(keys={issuer: JWKS.of(ISSUER_KEY) for issuer in (PROVIDER, PERSON, RESOURCE)})

AGENT_TOKEN = issue_agent_token(
    ISSUER_KEY, iss=PROVIDER, sub="aauth:assistant@provider.example", cnf=AGENT_KEY.public, jti="a", now=NOW, ps=PERSON
)
PERSON_TOKEN = issue_person_token(
    ISSUER_KEY,
    iss=PERSON,
    aud=RESOURCE,
    sub="p1",
    cnf=AGENT_KEY.public,
    jti="p",
    now=NOW,
    not_after=NOW + 3600,
    tenant="t",
)
AUTH_TOKEN = issue_auth_token(
    ISSUER_KEY,
    iss=PERSON,
    dwk="aauth-person.json",
    ps=PERSON,
    aud=RESOURCE,
    sub="p1",
    cnf=AGENT_KEY.public,
    jti="u",
    now=NOW,
    not_after=NOW + 3600,
    scope=("events.read", "email"),
    account="work",
)
JKT_JWT = issue_jkt_jwt(DURABLE_KEY, AGENT_KEY.public, jti="j", now=NOW)
SELF_JWT = jws.sign(
    {"typ": "fuzz+jwt", "kid": "issuer-1"},
    {"iss": PERSON, "dwk": "aauth-person.json", "iat": NOW, "exp": NOW + 300, "aud": RESOURCE},
    ISSUER_KEY,
)
JKT_JWT_512 = issue_jkt_jwt(DURABLE_KEY, AGENT_KEY.public, jti="j", now=NOW, typ="jkt-s512+jwt")


def answer(effect: object) -> object:
    """What the fixed directory says."""
    if isinstance(effect, FindCertificates):
        return CHAIN
    if isinstance(effect, FindKeyAt):
        return JWKS.of(AGENT_KEY).find(effect.kid)
    if not isinstance(effect, FindKey | FindMetadata):
        raise AssertionError(f"a flow under fuzzing asked for {type(effect).__name__}")
    return DIRECTORY.cached(effect)


def drive(flow: Flow[object]) -> object:
    """Run a flow that needs nothing but the fixed directory."""
    reply, failure = None, None
    try:
        while True:
            effect = flow.send(reply) if failure is None else flow.throw(failure)
            reply, failure = None, None
            try:
                reply = answer(effect)
            except AAuthError as error:
                failure = error
    except StopIteration as end:
        return end.value


def _person_token() -> PersonToken:
    token = drive(profile.verify(PERSON_TOKEN, PersonToken, now=NOW, policy=VerificationPolicy()))
    assert isinstance(token, PersonToken)
    return token


RESOURCE_TOKEN = issue_resource_token(
    ISSUER_KEY, iss=RESOURCE, presented=_person_token(), jti="r", now=NOW, scope=("events.read",)
)
TOKENS = (AGENT_TOKEN, PERSON_TOKEN, AUTH_TOKEN, RESOURCE_TOKEN, JKT_JWT, JKT_JWT_512, SELF_JWT)


def support() -> SchemeSupport:
    """What the schemes need that are accepted nowhere by default; the identifier of the assertion held is known."""
    assertions = AssertionCache(random_bytes=bytes)
    assertions.keep(JWT(AGENT_TOKEN), AGENT_KEY.thumbprint)
    return SchemeSupport(
        certificates=TrustedRoots(CERTIFICATES[1:]),
        assertions=assertions,
        self_issued=SelfIssuedPolicy(frozenset({"fuzz+jwt"}), RESOURCE),
    )


CACHED_ID = b64url_encode(bytes(16))


def _signed(scheme: SignatureKey, *, key: SigningKey = AGENT_KEY, body: bytes = b"", session: bool = False) -> Request:
    headers = {"host": "resource.example", "accept": "application/json"}
    if body:
        headers["content-type"] = "application/json"
    if session:
        headers["authorization"] = "AAuth c2Vzc2lvbg"
    request = Request("POST" if body else "GET", f"{RESOURCE}/events/1?view=week", Fields(headers), body)
    return sign(request, key, scheme, created=NOW, expires=NOW + 30 if session else None)


def _signed_twice() -> Request:
    request = Request("DELETE", f"{RESOURCE}/events/2", Fields({"host": "resource.example"}))
    signers = (
        LabelledSigner("agent", AGENT_KEY, JWT(AGENT_TOKEN)),
        LabelledSigner("gateway", ISSUER_KEY, JWKSURI(PERSON, "aauth-person.json", "issuer-1"), tag="gateway"),
    )
    return sign_all(request, signers, created=NOW)


#: One valid request for each way to sign, with and without a body.
REQUESTS: tuple[Request, ...] = (
    _signed(JWT(AGENT_TOKEN)),
    _signed(JWT(PERSON_TOKEN)),
    _signed(JWT(AUTH_TOKEN)),
    _signed(HWK.of(AGENT_KEY.public)),
    _signed(JKTJWT(JKT_JWT)),
    _signed(JWKSURI(PERSON, "aauth-person.json", "issuer-1"), key=ISSUER_KEY),
    _signed(JWT(AGENT_TOKEN), body=b'{"scope":"events.read"}'),
    _signed(JWT(AUTH_TOKEN), session=True),
    _signed(DirectJWKS(KEY_SET_URL, AGENT_KEY.kid)),
    _signed(SelfJWT(SELF_JWT), key=ISSUER_KEY),
    _signed(X509("https://caller.example/chain.pem", x5t_of(CERTIFICATES[0])), key=CERTIFIED_KEY),
    _signed(Cached(CACHED_ID)),
    _signed(JKTJWT(JKT_JWT, cache=True)),
    _signed_twice(),
)
