from __future__ import annotations

from typing import Any

import pytest

from aauthlib import jws
from aauthlib.effects import FindKey
from aauthlib.errors import ClockSkew, ExpiredJWT, InvalidJWT, InvalidSignature, UnknownKey, UnsupportedScheme
from aauthlib.httpsig import SelfJWT
from aauthlib.keys import SigningKey
from aauthlib.verification import Level, SchemeSupport
from tests.tokens.minting import AGENT_KEY, ISSUER_KEY, MISSING, NOW, OTHER_KEY, RESOURCE, without

from .conftest import Verifier, signed

pytestmark = pytest.mark.spec("signature-key#3.9")

SENDER = "https://sender.example"


def event(*, header: dict[str, Any] | None = None, key: SigningKey = ISSUER_KEY, **claims: Any) -> SelfJWT:
    payload = {
        "iss": SENDER,
        "dwk": "aauth-resource.json",
        "aud": RESOURCE,
        "exp": int(NOW) + 60,
        "eid": "e1",
        **claims,
    }
    return SelfJWT(jws.sign(without({"typ": "event+jwt", "kid": key.kid, **(header or {})}), without(payload), key))


@pytest.fixture
def known(verifier: Verifier) -> Verifier:
    verifier.keys = {(SENDER, ISSUER_KEY.kid): ISSUER_KEY.public}
    return verifier


def test_one_key_verifies_the_jwt_and_the_request(known: Verifier) -> None:
    caller = known.call(signed(event(), ISSUER_KEY))

    assert caller.level is Level.IDENTIFIED
    assert caller.key == ISSUER_KEY.public
    assert caller.self_issued is not None
    assert (caller.self_issued.iss, caller.self_issued.claims["eid"]) == (SENDER, "e1")
    assert caller.signer == ("self-jwt", SENDER)
    assert known.asked == [FindKey(SENDER, "aauth-resource.json", ISSUER_KEY.kid)]


def test_the_jwt_of_another_is_of_no_use_to_whoever_has_it(known: Verifier) -> None:
    known.refuses(signed(event(), AGENT_KEY), InvalidSignature)


@pytest.mark.spec("signature-key#7.3")
def test_a_jwt_with_a_confirmation_key_is_refused_before_anything_is_fetched(known: Verifier) -> None:
    known.refuses(signed(event(cnf={"jwk": AGENT_KEY.public.to_jwk()}), ISSUER_KEY), InvalidJWT)
    known.refuses(signed(event(cnf=None), ISSUER_KEY), InvalidJWT)
    assert known.asked == []


@pytest.mark.parametrize("claim", ["iss", "dwk", "exp"])
def test_a_claim_it_must_have_is_missed(known: Verifier, claim: str) -> None:
    known.refuses(signed(event(**{claim: MISSING}), ISSUER_KEY), InvalidJWT)
    assert known.asked == []


@pytest.mark.parametrize("header", [{"kid": ""}, {"kid": 7}, {"typ": "aa-agent+jwt"}, {"typ": 1}])
def test_a_header_it_must_have_is_missed(known: Verifier, header: dict[str, Any]) -> None:
    known.refuses(signed(event(header=header), ISSUER_KEY), InvalidJWT)
    assert known.asked == []


def test_an_expired_one_is_expired_and_one_from_the_future_is_clock_skew(known: Verifier) -> None:
    known.refuses(signed(event(exp=int(NOW)), ISSUER_KEY), ExpiredJWT)
    known.refuses(signed(event(iat=int(NOW) + 61), ISSUER_KEY), ClockSkew)
    known.call(signed(event(iat=int(NOW) + 60), ISSUER_KEY))


@pytest.mark.parametrize("aud", ["https://other.example", ["https://other.example"], [], None, 1])
def test_one_for_another_audience_is_refused(known: Verifier, aud: object) -> None:
    known.refuses(signed(event(aud=aud), ISSUER_KEY), InvalidJWT)
    known.call(signed(event(aud=["https://other.example", RESOURCE]), ISSUER_KEY))


def test_a_forged_one_is_refused_after_a_second_look(known: Verifier) -> None:
    forged = event(key=OTHER_KEY, header={"kid": ISSUER_KEY.kid})
    known.refuses(signed(forged, OTHER_KEY), InvalidJWT)
    assert [effect.changed_since_use for effect in known.asked] == [False, True]  # type: ignore[union-attr]


def test_a_key_that_is_not_published_is_unknown(known: Verifier) -> None:
    known.keys = {}
    known.refuses(signed(event(), ISSUER_KEY), UnknownKey)


def test_without_an_expected_type_the_scheme_is_not_accepted(known: Verifier) -> None:
    error = known.refuses(signed(event(), ISSUER_KEY), UnsupportedScheme, support=SchemeSupport())
    assert error.accepted_schemes == ("jwt", "hwk", "jkt-jwt", "jwks_uri", "jwks")


@pytest.mark.spec("signature-key#6")
def test_no_cache_identifier_is_issued_for_one(known: Verifier) -> None:
    request = signed(event(jti="j1"), ISSUER_KEY)
    assert known.call(request).cache_offer is None
    assert len(known.support.assertions or ()) == 0
