from __future__ import annotations

from dataclasses import replace

import pytest

from aauthlib import jws
from aauthlib.errors import CacheMiss, ExpiredJWT, InvalidJWT, InvalidSignature, UnsupportedScheme
from aauthlib.fields import parse_dictionary
from aauthlib.httpsig import HWK, JKTJWT, JWT, Cached
from aauthlib.keys import SigningKey
from aauthlib.tokens import AgentToken, AuthToken, PersonToken, TokenCache, issue_jkt_jwt
from aauthlib.verification import CacheOffer, Level, SchemeSupport, signature_key_cache
from tests.tokens.minting import AGENT_KEY, CLAIMS, MISSING, NOW, OTHER_KEY, mint

from .conftest import Verifier, signed

pytestmark = pytest.mark.spec("signature-key#3.11")

TYPES = {"aa-agent+jwt": Level.IDENTIFIED, "aa-person+jwt": Level.PERSON, "aa-auth+jwt": Level.AUTHORIZED}
DURABLE = SigningKey.generate("ES256")


def issued(verifier: Verifier, typ: str = "aa-agent+jwt", **claims: object) -> CacheOffer:
    offered = verifier.call(signed(JWT(mint(typ, **claims), cache=True))).cache_offer
    assert offered is not None
    return offered


@pytest.mark.parametrize("typ", TYPES)
@pytest.mark.spec("signature-key#6", "signature-key#6.1")
def test_an_identifier_stands_in_for_the_token_it_was_issued_for(verifier: Verifier, typ: str) -> None:
    offered = issued(verifier, typ)
    asked = len(verifier.asked)
    full, cached = verifier.call(signed(JWT(mint(typ)))), verifier.call(signed(Cached(offered.cid)))

    assert cached.level is full.level is TYPES[typ]
    assert (cached.token, cached.key) == (full.token, full.key)
    assert len(verifier.asked) == asked + 2  # without a TokenCache each is verified anew
    assert cached.cache_offer is None
    assert (offered.label, offered.jti, offered.expires) == ("sig", CLAIMS[typ]["jti"], CLAIMS[typ]["exp"])


@pytest.mark.spec("signature-key#3.5")
def test_an_identifier_stands_in_for_a_delegation(verifier: Verifier) -> None:
    text = issue_jkt_jwt(DURABLE, AGENT_KEY.public, jti="d1", now=NOW)
    offered = verifier.call(signed(JKTJWT(text, cache=True))).cache_offer
    assert offered is not None
    caller = verifier.call(signed(Cached(offered.cid)))
    assert caller.pseudonym == DURABLE.thumbprint


@pytest.mark.spec("signature-key#7.6")
def test_a_captured_identifier_is_worth_nothing_without_the_key(verifier: Verifier) -> None:
    offered = issued(verifier)
    verifier.refuses(signed(Cached(offered.cid), OTHER_KEY), InvalidSignature)


@pytest.mark.spec("signature-key#5.4")
def test_an_identifier_that_resolves_to_nothing_is_a_cache_miss(verifier: Verifier) -> None:
    error = verifier.refuses(signed(Cached("2f9c8a1e")), CacheMiss)
    assert error.accepted_schemes == verifier.support.schemes(verifier.policy.schemes)
    offered = issued(verifier)
    assert verifier.support.assertions is not None
    verifier.support.assertions.discard(offered.cid)
    verifier.refuses(signed(Cached(offered.cid)), CacheMiss)


@pytest.mark.spec("signature-key#6.1")
def test_an_assertion_that_expired_meanwhile_is_expired_and_no_miss(verifier: Verifier) -> None:
    offered = issued(verifier)
    verifier.now = offered.expires
    cache = TokenCache()
    for tokens in (None, cache):
        verifier.refuses(signed(Cached(offered.cid), created=int(verifier.now)), ExpiredJWT, cache=tokens)


@pytest.mark.spec("signature-key#6.1")
def test_a_resolved_token_must_be_of_a_type_that_is_accepted_here(verifier: Verifier) -> None:
    offered = issued(verifier, "aa-person+jwt")
    verifier.refuses(signed(Cached(offered.cid)), InvalidJWT, accepted=(AgentToken, AuthToken))
    assert verifier.call(signed(Cached(offered.cid)), accepted=(PersonToken,)).level is Level.PERSON


def test_what_was_cached_under_a_scheme_that_is_not_accepted_here_is_not(verifier: Verifier) -> None:
    offered = issued(verifier)
    verifier.refuses(signed(Cached(offered.cid)), UnsupportedScheme, policy=verifier.without("jwt"))


@pytest.mark.spec("signature-key#6.2")
def test_a_verifier_that_does_not_cache_offers_nothing_and_takes_nothing(verifier: Verifier) -> None:
    asking = signed(JWT(mint("aa-agent+jwt"), cache=True))
    for options in ({"policy": verifier.without("cached")}, {"support": SchemeSupport()}):
        assert verifier.call(asking, **options).cache_offer is None
        error = verifier.refuses(signed(Cached("2f9c")), UnsupportedScheme, **options)
        assert "cached" not in error.accepted_schemes


@pytest.mark.spec("signature-key#6")
def test_only_who_asks_and_has_a_jti_is_offered_an_identifier(verifier: Verifier) -> None:
    assert verifier.call(signed(JWT(mint("aa-agent+jwt")))).cache_offer is None
    assert verifier.call(signed(HWK.of(AGENT_KEY.public))).cache_offer is None
    nameless = issue_jkt_jwt(DURABLE, AGENT_KEY.public, jti="d1", now=NOW)
    parsed = jws.parse(nameless)
    claims = {name: value for name, value in parsed.payload.items() if name != "jti"}
    text = jws.sign({name: v for name, v in parsed.header.items() if name != "alg"}, claims, DURABLE)
    caller = verifier.call(signed(JKTJWT(text, cache=True)))
    assert caller.delegation is not None
    assert caller.cache_offer is None
    assert len(verifier.support.assertions or ()) == 0


def test_a_request_that_fails_leaves_nothing_behind(verifier: Verifier) -> None:
    verifier.refuses(signed(JWT(mint("aa-agent+jwt"), cache=True), OTHER_KEY), InvalidSignature)
    verifier.refuses(signed(JWT(mint("aa-agent+jwt", jti=MISSING), cache=True)), InvalidJWT)
    assert len(verifier.support.assertions or ()) == 0


@pytest.mark.spec("signature-key#6")
def test_the_header_is_keyed_by_label_and_describes_the_assertion() -> None:
    name, value = signature_key_cache(CacheOffer("sig1", "2f9c8a1e-a7b3", "2f9c8a1e", 1_730_000_000))
    assert name == "signature-key-cache"
    assert value == 'sig1="2f9c8a1e-a7b3";jti="2f9c8a1e";expires=1730000000'
    _, value = signature_key_cache(replace(CacheOffer("sig", "c", "j", 5), jti="jäh"))
    assert parse_dictionary(value) == {"sig": ("c", {"expires": 5})}
