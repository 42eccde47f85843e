from __future__ import annotations

from typing import Any

import pytest

from aauthlib import jws
from aauthlib.errors import TokenInvalid
from aauthlib.tokens import ACCESS_DWK, PERSON_DWK, AuthToken, VerificationPolicy, issue_auth_token, verify
from tests.tokens.minting import AGENT_KEY, AS, ISSUER_KEY, MISSING, NOW, PS, RESOURCE, Issuers, mint


def accept(text: str) -> AuthToken:
    return Issuers().run(verify(text, AuthToken, now=NOW, policy=VerificationPolicy()))


def auth(**options: Any) -> str:
    arguments: dict[str, Any] = {
        "iss": PS, "dwk": PERSON_DWK, "ps": PS, "aud": RESOURCE, "sub": "s", "cnf": AGENT_KEY.public, "jti": "j",
        "now": NOW, "not_after": NOW + 600, "scope": ["calendar.read"], **options,
    }  # fmt: skip
    return issue_auth_token(ISSUER_KEY, **arguments)


@pytest.mark.spec("#auth-token-structure")
def test_an_issued_auth_token_says_what_was_granted() -> None:
    token = accept(
        auth(scope=["calendar.read", "email"], account="acme", mission_s256="m", tenant="t", claims={"email": "a@b.c"})
    )

    assert (token.iss, token.dwk, token.ps, token.aud, token.sub) == (PS, PERSON_DWK, PS, RESOURCE, "s")
    assert (token.scope, token.account) == (("calendar.read", "email"), "acme")
    assert (token.mission_s256, token.tenant, token.person_server) == ("m", "t", PS)
    assert token.claims["email"] == "a@b.c"
    assert token.cnf == AGENT_KEY.public


@pytest.mark.spec("#auth-token-structure")
def test_an_access_server_grants_for_the_person_of_a_person_server() -> None:
    token = accept(auth(iss=AS, dwk=ACCESS_DWK))

    assert (token.iss, token.person_server) == (AS, PS)


@pytest.mark.spec("#auth-token-structure", "#scopes")
def test_no_scope_and_an_empty_scope_are_two_things() -> None:
    assert accept(auth(scope=None)).scope is None
    assert "scope" not in jws.parse(auth(scope=None)).payload
    assert accept(auth(scope=[])).scope == ()


@pytest.mark.spec("#auth-token-structure")
def test_an_auth_token_never_outlives_what_it_rests_on_nor_an_hour() -> None:
    assert accept(auth(not_after=NOW + 30)).exp == NOW + 30
    assert accept(auth(not_after=NOW + 90_000)).exp == NOW + 3600
    with pytest.raises(TokenInvalid):
        auth(not_after=NOW - 1)


@pytest.mark.spec("#auth-token-structure")
def test_identity_claims_cannot_replace_the_tokens_own() -> None:
    forged = {
        "iss": "https://evil.example", "ps": "https://evil.example", "aud": "https://evil.example", "sub": "root",
        "cnf": {}, "scope": "everything", "account": "all", "exp": 9_999_999_999, "iat": 0, "jti": "x", "dwk": "y",
        "mission_s256": "z", "tenant": "other",
    }  # fmt: skip

    token = accept(auth(claims=forged))

    assert (token.iss, token.ps, token.aud, token.sub, token.jti) == (PS, PS, RESOURCE, "s", "j")
    assert (token.scope, token.account, token.mission_s256, token.tenant) == (("calendar.read",), None, None, None)
    assert (token.iat, token.exp) == (NOW, NOW + 600)


@pytest.mark.parametrize("claim", ["ps", "aud", "sub", "cnf"])
@pytest.mark.spec("#auth-token-structure")
def test_an_auth_token_without_a_required_claim_is_refused(claim: str) -> None:
    with pytest.raises(TokenInvalid):
        accept(mint("aa-auth+jwt", **{claim: MISSING}))


@pytest.mark.spec("#auth-token-structure")
def test_a_person_server_grants_for_its_own_persons_only() -> None:
    with pytest.raises(TokenInvalid):
        accept(mint("aa-auth+jwt", ps="https://other-ps.example"))


@pytest.mark.parametrize("claim", ["ps", "aud"])
@pytest.mark.parametrize("value", [["https://a.example"], "", 7, None, "https://a.example/", "http://a.example"])
@pytest.mark.spec("#auth-token-structure", "#server-identifiers")
def test_ps_and_aud_must_be_server_identifiers(claim: str, value: Any) -> None:
    with pytest.raises(TokenInvalid):
        accept(mint("aa-auth+jwt", iss=AS, dwk=ACCESS_DWK, **{claim: value}))


@pytest.mark.parametrize("scope", [7, None, ["calendar.read"], "x" * 5000])
@pytest.mark.spec("#auth-token-structure", "#scopes")
def test_scope_must_be_a_string(scope: Any) -> None:
    with pytest.raises(TokenInvalid):
        accept(mint("aa-auth+jwt", scope=scope))


@pytest.mark.parametrize(
    ("scope", "values"), [("a b", ("a", "b")), ("a a b a", ("a", "b")), ("  a   b ", ("a", "b")), ("", ()), (" ", ())]
)
@pytest.mark.spec("#scopes")
def test_scope_values_are_separated_by_spaces_and_count_once(scope: str, values: tuple[str, ...]) -> None:
    assert accept(mint("aa-auth+jwt", scope=scope)).scope == values


@pytest.mark.parametrize("claim", ["account", "mission_s256", "tenant"])
@pytest.mark.parametrize("value", ["", 7, None, {}])
@pytest.mark.spec("#auth-token-structure")
def test_an_optional_claim_that_is_present_must_be_a_non_empty_string(claim: str, value: Any) -> None:
    with pytest.raises(TokenInvalid):
        accept(mint("aa-auth+jwt", **{claim: value}))
