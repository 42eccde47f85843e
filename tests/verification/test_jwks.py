from __future__ import annotations

import pytest

from aauthlib.effects import FindKeyAt
from aauthlib.errors import InvalidKey, InvalidSignature, UnknownKey, UnsupportedScheme
from aauthlib.httpsig import DirectJWKS
from aauthlib.verification import Level
from tests.tokens.minting import AGENT_KEY, OTHER_KEY

from .conftest import KEYS_URL, Verifier, signed

pytestmark = pytest.mark.spec("signature-key#3.7")


@pytest.fixture
def published(verifier: Verifier) -> Verifier:
    verifier.keys = {(KEYS_URL, "one"): AGENT_KEY.public}
    return verifier


def test_the_signer_is_the_url_of_its_key_set(published: Verifier) -> None:
    caller = published.call(signed(DirectJWKS(KEYS_URL, "one")))

    assert (caller.level, caller.jwks_url, caller.key) == (Level.IDENTIFIED, KEYS_URL, AGENT_KEY.public)
    assert caller.signer == ("jwks", KEYS_URL)
    assert caller.server is None
    assert published.asked == [FindKeyAt(KEYS_URL, "one")]


@pytest.mark.parametrize("url", [KEYS_URL + "?", KEYS_URL + "/", "https://client.example/%6Beys.jwks"])
def test_another_spelling_of_the_url_is_another_signer(published: Verifier, url: str) -> None:
    published.refuses(signed(DirectJWKS(url, "one")), UnknownKey)
    assert published.asked == [FindKeyAt(url, "one")]


@pytest.mark.spec("signature-key#7.3")
@pytest.mark.parametrize(
    "url", ["http://client.example/k", "https://10.0.0.1/k", "https://localhost/k", "https://a@b.example/k", "keys"]
)
def test_nothing_is_asked_for_at_a_url_that_may_not_be_fetched(published: Verifier, url: str) -> None:
    published.refuses(signed(DirectJWKS(url, "one")), InvalidKey)
    assert published.asked == []


@pytest.mark.spec("signature-key#7.2")
def test_a_key_that_did_not_sign_is_looked_up_once_more(published: Verifier) -> None:
    published.keys[KEYS_URL, "one"] = OTHER_KEY.public
    published.renewed = {(KEYS_URL, "one"): AGENT_KEY.public}
    assert published.call(signed(DirectJWKS(KEYS_URL, "one"))).key == AGENT_KEY.public
    published.renewed = {}
    published.refuses(signed(DirectJWKS(KEYS_URL, "one")), InvalidSignature)
    assert [effect.changed_since_use for effect in published.asked] == [False, True] * 2  # type: ignore[union-attr]


def test_a_key_set_without_the_kid_is_an_unknown_key(published: Verifier) -> None:
    published.refuses(signed(DirectJWKS(KEYS_URL, "two")), UnknownKey)


def test_the_scheme_is_taken_only_where_the_policy_says_so(published: Verifier) -> None:
    error = published.refuses(signed(DirectJWKS(KEYS_URL, "one")), UnsupportedScheme, policy=published.without("jwks"))
    assert "jwks" not in error.accepted_schemes
    assert published.asked == []
