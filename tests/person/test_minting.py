"""Issuing (#person-token-structure, #auth-token-structure): bounds that hold whatever was decided before."""

from __future__ import annotations

import secrets
from types import SimpleNamespace
from typing import Any

import pytest

from aauthlib.errors import Expired, TokenInvalid
from aauthlib.jws import parse
from aauthlib.keys import SigningKey
from aauthlib.messages.identity_scopes import released_claims
from aauthlib.person.asked import Asked, AskedAgent, AskedInteraction
from aauthlib.person.directed import DirectedIdentifiers
from aauthlib.person.minting import Mint

from .parties import CALENDAR, PS, Clock

CLOCK = Clock()
SIGNING = SigningKey.generate()
KEYS: Any = SimpleNamespace(signing=SIGNING, directed=DirectedIdentifiers(b"k" * 32))
MINT = Mint(PS, lambda: KEYS, clock=CLOCK, random_bytes=secrets.token_bytes)
AGENT = AskedAgent(iss="https://ap.example", sub="aauth:a@ap.example", jti="t")
SUB = KEYS.directed.sub("alice", CALENDAR)


def asked(**changes: Any) -> Asked:
    values: dict[str, Any] = {
        "kind": "auth_token",
        "agent": AGENT,
        "cnf": SigningKey.generate().public.to_jwk(),
        "resource": CALENDAR,
        "not_after": CLOCK() + 9000,
        "sub": SUB,
        "scope": ("read", "write"),
        **changes,
    }
    return Asked(**values)


def claims_of(completion: Any, kind: str) -> dict[str, Any]:
    return parse(completion.response.json()[kind]).payload


@pytest.mark.spec("#scopes", "#auth-token-structure")
def test_nothing_is_granted_that_was_not_asked() -> None:
    completion = MINT.auth_token(asked(), "alice", scopes=("write", "admin"), profile={})
    assert claims_of(completion, "auth_token")["scope"] == "write"
    for scopes in ((), ("admin",)):
        with pytest.raises(TokenInvalid):
            MINT.auth_token(asked(), "alice", scopes=scopes, profile={})


@pytest.mark.spec("#directed-identifiers")
def test_another_persons_decision_makes_no_token() -> None:
    with pytest.raises(TokenInvalid):
        MINT.auth_token(asked(), "bob", scopes=("read",), profile={})


@pytest.mark.spec("#auth-token-structure", "#person-token-structure")
@pytest.mark.parametrize(("left_s", "lives_s"), [(9000, 3600), (3600, 3600), (59, 59), (1, 1)])
def test_a_token_lives_an_hour_at_most_and_never_past_what_it_hangs_on(left_s: int, lives_s: int) -> None:
    one = asked(not_after=CLOCK() + left_s)
    for completion, kind in (
        (MINT.auth_token(one, "alice", scopes=("read",), profile={}), "auth_token"),
        (MINT.person_token(one, "alice"), "person_token"),
    ):
        claims = claims_of(completion, kind)
        assert claims["exp"] - claims["iat"] == lives_s
        assert completion.response.json()["expires_in"] == lives_s
        assert completion.record.exp == claims["exp"]  # type: ignore[attr-defined]


@pytest.mark.spec("#polling-error-codes")
@pytest.mark.parametrize("left_s", [0, -1, 0.5])
def test_too_late_is_expired(left_s: float) -> None:
    late = asked(not_after=CLOCK() + left_s)
    with pytest.raises(Expired):
        MINT.person_token(late, "alice")
    with pytest.raises(Expired):
        MINT.auth_token(late, "alice", scopes=("read",), profile={})


@pytest.mark.spec("#scopes")
def test_a_profile_cannot_change_what_the_token_says() -> None:
    profile = {"name": "Alice", "sub": "admin", "scope": "everything", "aud": "https://evil.example"}
    one = asked(scope=("profile", "read"))
    claims = claims_of(MINT.auth_token(one, "alice", scopes=("profile", "read"), profile=profile), "auth_token")
    assert (claims["name"], claims["sub"], claims["scope"], claims["aud"]) == ("Alice", SUB, "profile read", CALENDAR)


@pytest.mark.spec("#scopes")
def test_only_granted_identity_scopes_release_claims() -> None:
    profile = {"name": "Alice", "email": "a@example.org", "email_verified": False}
    assert released_claims(["openid", "read"], profile) == {}
    assert released_claims(["email"], profile) == {"email": "a@example.org", "email_verified": False}


@pytest.mark.spec("#person-token-structure")
def test_a_person_token_carries_no_authorization() -> None:
    claims = claims_of(MINT.person_token(asked(account="work"), "alice"), "person_token")
    assert not {"scope", "account", "name"} & set(claims)


def test_what_is_asked_survives_the_store_unchanged() -> None:
    one = asked(
        interaction=AskedInteraction(url="https://c.example/i", code="A1B2-C3D4", flow="f"),
        subagent="aauth:a+b@ap.example",
        device="x",
    )
    assert Asked.of(one.to_request()) == one
    assert "token" not in "".join(name for name in one.to_request() if name != "kind")
    assert one.owner == "https://ap.example aauth:a@ap.example"
