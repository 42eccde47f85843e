"""Every place a key or token enters: `none`, `EdDSA`, symmetric, absent and disagreeing `alg` are refused there."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from aauthlib import jws
from aauthlib.base64url import b64url_decode, b64url_encode
from aauthlib.effects import FindKey
from aauthlib.errors import AAuthError, TokenInvalid, UnsupportedAlgorithm
from aauthlib.http import Request
from aauthlib.httpsig import HWK, JKTJWT, JWKSURI, JWT, SignatureKey, SignaturePolicy, sign
from aauthlib.keys import ALGORITHMS, JWKS, PublicKey, SigningKey
from aauthlib.tokens import (
    AgentToken,
    AuthToken,
    PersonToken,
    ResourceToken,
    Token,
    VerificationPolicy,
    issue_jkt_jwt,
    verify,
)
from aauthlib.verification import Caller, authenticate
from tests.tokens.minting import AGENT_KEY, AP, CLAIMS, ISSUER_KEY, NOW, PS, RESOURCE, Issuers, mint, unsigned

OCT = {"kty": "oct", "k": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}
RSA_KEY = SigningKey.generate("RS256")
P384_KEY = SigningKey.generate("ES384")


def changed(**changes: Any) -> dict[str, Any]:
    """The agent's public key with members replaced, or left out where `None`."""
    return {name: value for name, value in {**AGENT_KEY.public.jwk, **changes}.items() if value is not None}


#: Keys that must be refused wherever a verifier of the default algorithms meets them.
BAD_KEYS: Mapping[str, dict[str, Any]] = {
    "no alg": changed(alg=None),
    "none": changed(alg="none"),
    "EdDSA": changed(alg="EdDSA"),
    "symmetric alg": changed(alg="HS256"),
    "symmetric key": {**OCT, "alg": "HS256"},
    "symmetric key as Ed25519": {**OCT, "alg": "Ed25519"},
    "alg of another key": changed(alg="ES256"),
    "curve of another key": changed(crv="Ed448"),
    "curve and alg of another key": changed(crv="Ed448", alg="Ed448"),
    "type of another key": changed(kty="EC"),
    "not configured: RS256": dict(RSA_KEY.public.jwk),
    "not configured: ES384": dict(P384_KEY.public.jwk),
    "not a string": changed(alg=["Ed25519"]),
    "private": changed(d=AGENT_KEY.to_private_jwk()["d"]),
}
BAD_ALGS = ["none", "None", "EdDSA", "HS256", "HS512", "dir", "ES256", "RS256", "", 7, None]
KEYS = pytest.mark.parametrize("name", BAD_KEYS)
ALGS = pytest.mark.parametrize("alg", BAD_ALGS)
SCHEMES = SignaturePolicy(schemes=("jwt", "hwk", "jkt-jwt", "jwks_uri"))


def caller_of(shown: SignatureKey, key: SigningKey = AGENT_KEY, issuers: Issuers | None = None) -> Caller:
    request = sign(Request("GET", RESOURCE + "/x"), key, shown, created=int(NOW))
    flow = authenticate(
        request,
        now=NOW,
        signature=SCHEMES,
        tokens=VerificationPolicy(),
        accepted=(AgentToken, PersonToken, AuthToken),
    )
    return (issuers or Issuers()).run(flow)


class Publishing(Issuers):
    """Issuers that publish this JWK as it is, read by the policy of whoever asks."""

    jwk: dict[str, Any]

    def _find(self, effect: FindKey) -> PublicKey:
        return JWKS.parse({"keys": [{**self.jwk, "kid": effect.kid}]}).find(effect.kid, accepted=ALGORITHMS)


def publishing(jwk: dict[str, Any]) -> Publishing:
    issuers = Publishing()
    issuers.jwk = jwk
    return issuers


def signed_anyhow(header: Mapping[str, Any], payload: Mapping[str, Any], key: SigningKey) -> str:
    """A token that `key` really signed, under a header that `jws.sign` would not write; `None` leaves out."""
    head = {name: value for name, value in header.items() if value is not None}
    signing_input = ".".join(b64url_encode(json.dumps(part).encode()) for part in (head, dict(payload)))
    return f"{signing_input}.{b64url_encode(key.sign(signing_input.encode()))}"


def delegation(**header: Any) -> str:
    """A `jkt-jwt` of the agent's key with changed header parameters."""
    parsed = jws.parse(issue_jkt_jwt(AGENT_KEY, AGENT_KEY.public, jti="j", now=NOW))
    return signed_anyhow({**parsed.header, **header}, parsed.payload, AGENT_KEY)


ENTRANCES: Mapping[str, Callable[[dict[str, Any]], Any]] = {
    "hwk": lambda jwk: caller_of(HWK({name: value for name, value in jwk.items() if isinstance(value, str)})),
    "cnf of an agent token": lambda jwk: caller_of(JWT(mint("aa-agent+jwt", cnf={"jwk": jwk}))),
    "cnf of a person token": lambda jwk: caller_of(JWT(mint("aa-person+jwt", cnf={"jwk": jwk}))),
    "cnf of an auth token": lambda jwk: caller_of(JWT(mint("aa-auth+jwt", cnf={"jwk": jwk}))),
    "jwk of a jkt-jwt": lambda jwk: caller_of(JKTJWT(delegation(jwk=jwk))),
    "cnf of a jkt-jwt": lambda jwk: caller_of(
        JKTJWT(
            jws.sign(
                {"typ": "jkt-s256+jwt", "jwk": AGENT_KEY.public.to_jwk()},
                {
                    "iss": f"urn:jkt:sha-256:{AGENT_KEY.thumbprint}",
                    "iat": int(NOW),
                    "exp": int(NOW) + 60,
                    "cnf": {"jwk": jwk},
                },
                AGENT_KEY,
            )
        )
    ),
    "jwks of a token's issuer": lambda jwk: caller_of(
        JWT(mint("aa-agent+jwt", key=AGENT_KEY)), issuers=publishing(jwk)
    ),
    "jwks of a server": lambda jwk: caller_of(JWKSURI(PS, "aauth-person.json", "k"), issuers=publishing(jwk)),
}


@KEYS
@pytest.mark.parametrize("entrance", ENTRANCES)
@pytest.mark.spec("#signature-algorithms", "signature-key#3.3")
def test_a_key_that_is_not_fully_specified_and_accepted_does_not_get_in(entrance: str, name: str) -> None:
    jwk = BAD_KEYS[name]
    if entrance == "hwk" and name == "not a string":
        jwk = changed(alg=None)  # a scheme parameter that is no string is dropped
    with pytest.raises(AAuthError) as raised:
        ENTRANCES[entrance](jwk)
    assert raised.value.__class__.__name__ in {"UnsupportedAlgorithm", "InvalidKey", "InvalidJWT"}


@pytest.mark.parametrize("entrance", ENTRANCES)
def test_the_same_entrances_take_the_key_as_it_is(entrance: str) -> None:
    assert ENTRANCES[entrance](dict(AGENT_KEY.public.jwk)).key == AGENT_KEY.public


@ALGS
@pytest.mark.parametrize("cls", [AgentToken, PersonToken, ResourceToken, AuthToken])
@pytest.mark.spec("#common-claims", "#signature-algorithms")
def test_a_token_whose_alg_is_not_its_issuers_keys_does_not_get_in(cls: type[Token], alg: object) -> None:
    honest = {"alg": ISSUER_KEY.alg, "typ": cls.typ, "kid": ISSUER_KEY.kid}
    good = signed_anyhow(honest, CLAIMS[cls.typ], ISSUER_KEY)
    bad = {**honest, "alg": alg}
    without = {name: value for name, value in bad.items() if value is not None}
    for text in (signed_anyhow(bad, CLAIMS[cls.typ], ISSUER_KEY), unsigned(without, CLAIMS[cls.typ], b"")):
        with pytest.raises((TokenInvalid, UnsupportedAlgorithm)):
            Issuers().run(verify(text, cls, now=NOW, policy=VerificationPolicy()))
    assert Issuers().run(verify(good, cls, now=NOW, policy=VerificationPolicy())).iss in (AP, PS, RESOURCE)


@ALGS
@pytest.mark.spec("signature-key#3.5", "#signature-algorithms")
def test_a_delegation_whose_alg_is_not_its_keys_does_not_get_in(alg: object) -> None:
    assert caller_of(JKTJWT(delegation())).key == AGENT_KEY.public
    with pytest.raises(AAuthError):
        caller_of(JKTJWT(delegation(alg=alg)))


@pytest.mark.spec("#common-verification")
def test_an_hmac_under_the_public_key_is_no_signature() -> None:
    """The classic confusion: a token "signed" symmetrically with what everybody knows."""
    parts = [{"alg": "HS256", "typ": "aa-agent+jwt", "kid": ISSUER_KEY.kid}, CLAIMS["aa-agent+jwt"]]
    signing_input = ".".join(b64url_encode(json.dumps(part).encode()) for part in parts)
    for secret in (b64url_decode(ISSUER_KEY.public.jwk["x"]), json.dumps(ISSUER_KEY.public.to_jwk()).encode()):
        forged = f"{signing_input}.{b64url_encode(hmac.new(secret, signing_input.encode(), hashlib.sha256).digest())}"
        with pytest.raises(AAuthError):
            caller_of(JWT(forged))
