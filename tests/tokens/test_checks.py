from __future__ import annotations

from typing import Any

import msgspec
import pytest

from aauthlib.errors import (
    AAuthError,
    InvalidPresentedToken,
    InvalidResourceToken,
    InvalidSubagentToken,
    TokenInvalid,
)
from aauthlib.tokens import AgentToken, AuthToken, PersonToken, ResourceToken, VerificationPolicy, verify
from aauthlib.tokens.checks import (
    check_askable,
    check_auth_token_response,
    check_presented_token,
    check_resource_challenge,
    check_resource_token,
    check_subagent_token,
    check_token_at_resource,
)
from tests.tokens.minting import AGENT_KEY, AS, NOW, OTHER_KEY, PS, RESOURCE, Issuers, mint

OTHER = "https://other.example"


def read(typ: str, **claims: Any) -> Any:
    """A verified token."""
    issuers = Issuers()
    issuers.keys.update({(OTHER, kid): key for (issuer, kid), key in issuers.keys.items() if issuer == PS})
    return issuers.run(
        verify(
            mint(typ, **claims),
            AgentToken, PersonToken, ResourceToken, AuthToken,
            now=NOW,
            policy=VerificationPolicy(),
        )
    )  # fmt: skip


def jwk(key: Any) -> dict[str, Any]:
    return {"jwk": key.public.to_jwk()}


def refused(kind: type[AAuthError], names: str) -> Any:
    return pytest.raises(kind, match=names)


# --------------------------------------------------------------------------- at the resource


@pytest.mark.parametrize("typ", ["aa-person+jwt", "aa-auth+jwt"])
@pytest.mark.spec("#person-token-verification", "#request-context-binding")
def test_a_token_for_this_resource_is_taken_and_one_for_another_is_not(typ: str) -> None:
    check_token_at_resource(read(typ), resource=RESOURCE)

    with refused(TokenInvalid, "another resource"):
        check_token_at_resource(read(typ, aud=OTHER), resource=RESOURCE)


# --------------------------------------------------------------------------- resource token, at PS and AS


@pytest.mark.spec("#resource-token-verification")
def test_a_resource_token_addressed_here_and_bound_to_the_signing_key_is_taken() -> None:
    check_resource_token(read("aa-resource+jwt"), recipient=PS, agent_key=AGENT_KEY.public)


@pytest.mark.spec("#resource-token-verification")
def test_step_1_a_resource_token_for_another_server_is_refused() -> None:
    with refused(InvalidResourceToken, "another server"):
        check_resource_token(read("aa-resource+jwt", aud=AS), recipient=PS, agent_key=AGENT_KEY.public)


@pytest.mark.spec("#resource-token-verification", "#proof-of-possession")
def test_step_2_a_stolen_resource_token_is_of_no_use_with_another_key() -> None:
    with refused(InvalidResourceToken, "another key"):
        check_resource_token(read("aa-resource+jwt"), recipient=PS, agent_key=OTHER_KEY.public)


PRESENTED = pytest.mark.parametrize("typ", ["aa-person+jwt", "aa-auth+jwt"])


@PRESENTED
@pytest.mark.spec("#resource-token-verification")
def test_step_3_the_token_the_agent_presented_is_taken(typ: str) -> None:
    copied = {"mission_s256": "m", "tenant": "t"}

    check_presented_token(read("aa-resource+jwt", **copied), read(typ, **copied))


@PRESENTED
@pytest.mark.spec("#resource-token-verification")
def test_step_3_a_presented_token_for_another_resource_is_invalid_itself(typ: str) -> None:
    with refused(InvalidPresentedToken, "another resource"):
        check_presented_token(read("aa-resource+jwt"), read(typ, aud=OTHER))


@PRESENTED
@pytest.mark.spec("#resource-token-verification")
def test_step_3_a_presented_token_of_another_key_is_invalid_itself(typ: str) -> None:
    with refused(InvalidPresentedToken, "another key"):
        check_presented_token(read("aa-resource+jwt"), read(typ, cnf=jwk(OTHER_KEY)))


@PRESENTED
@pytest.mark.parametrize("claim", ["presented_jti", "ps", "sub", "mission_s256", "tenant"])
@pytest.mark.spec("#resource-token-verification")
def test_step_3_a_resource_token_that_disagrees_with_the_presented_token_is_invalid(typ: str, claim: str) -> None:
    value = OTHER if claim == "ps" else "something else"

    with refused(InvalidResourceToken, claim):
        check_presented_token(read("aa-resource+jwt", **{claim: value}), read(typ))


@PRESENTED
@pytest.mark.parametrize("claim", ["mission_s256", "tenant"])
@pytest.mark.spec("#resource-token-verification")
def test_step_3_stripping_the_mission_or_the_tenant_is_noticed(typ: str, claim: str) -> None:
    with refused(InvalidResourceToken, claim):
        check_presented_token(read("aa-resource+jwt"), read(typ, **{claim: "carried"}))


# --------------------------------------------------------------------------- sub-agents


def parent(**claims: Any) -> Any:
    return read("aa-agent+jwt", **claims)


def child(**claims: Any) -> Any:
    return read(
        "aa-agent+jwt",
        **{"sub": "aauth:planner+one@ap.example", "parent_agent": "aauth:planner@ap.example", **claims},
    )


@pytest.mark.spec("#sub-agents")
def test_a_sub_agent_of_the_signing_agent_is_taken() -> None:
    check_subagent_token(child(), parent=parent())


@pytest.mark.spec("#sub-agents")
def test_a_sub_agent_of_somebody_else_is_refused() -> None:
    with refused(InvalidSubagentToken, "parent_agent"):
        check_subagent_token(child(parent_agent="aauth:other@ap.example"), parent=parent())


@pytest.mark.spec("#sub-agents")
def test_an_agent_that_is_nobodys_sub_agent_is_refused_as_one() -> None:
    with refused(InvalidSubagentToken, "parent_agent"):
        check_subagent_token(parent(sub="aauth:stranger@ap.example"), parent=parent())


@pytest.mark.spec("#sub-agent-identity")
def test_a_sub_agent_of_another_provider_is_refused() -> None:
    # Two providers can share a domain only in the development profile; elsewhere the token itself is refused.
    foreign = msgspec.structs.replace(child(), iss=OTHER)

    with refused(InvalidSubagentToken, "another agent provider"):
        check_subagent_token(foreign, parent=parent())


@pytest.mark.spec("#single-level-depth")
def test_a_sub_agent_has_no_sub_agents() -> None:
    middle = child()
    grandchild = child(sub="aauth:planner+two@ap.example", parent_agent="aauth:planner+one@ap.example")

    with refused(InvalidSubagentToken, "itself a sub-agent"):
        check_subagent_token(grandchild, parent=middle)


# --------------------------------------------------------------------------- at the agent


def challenge(presented: Any = None, **changed: Any) -> None:
    check_resource_challenge(
        read("aa-resource+jwt", **changed),
        resource=RESOURCE,
        agent_key=AGENT_KEY.public,
        presented=presented or read("aa-person+jwt"),
        person_server=PS,
    )


@pytest.mark.spec("#resource-challenge-verification")
def test_an_honest_challenge_is_taken() -> None:
    challenge()


@pytest.mark.parametrize(
    ("changed", "names"),
    [
        ({"iss": OTHER}, "another resource"),
        ({"agent_jkt": OTHER_KEY.thumbprint}, "another key"),
        ({"ps": OTHER}, "another person server"),
        ({"sub": "somebody-else"}, "another person "),
        ({"presented_jti": "other-jti"}, "another token"),
    ],
)
@pytest.mark.spec("#resource-challenge-verification")
def test_each_step_of_challenge_verification_refuses(changed: dict[str, Any], names: str) -> None:
    with refused(TokenInvalid, names):
        challenge(**changed)


def response(resource_claims: dict[str, Any] | None = None, **changed: Any) -> None:
    check_auth_token_response(
        read("aa-auth+jwt", **changed),
        asked=read("aa-resource+jwt", **(resource_claims or {})),
        agent_key=AGENT_KEY.public,
        resource=RESOURCE,
    )


@pytest.mark.spec("#auth-token-response-verification")
def test_the_auth_token_that_was_asked_for_is_taken() -> None:
    response()
    response({"aud": AS}, iss=AS, dwk="aauth-access.json")


@pytest.mark.parametrize(
    ("changed", "names"),
    [
        ({"iss": AS, "dwk": "aauth-access.json"}, "another server"),
        ({"aud": OTHER}, "another resource"),
        ({"cnf": jwk(OTHER_KEY)}, "another key"),
        ({"sub": "somebody-else"}, "another person"),
        ({"scope": "calendar.read calendar.write"}, "more scope"),
    ],
)
@pytest.mark.spec("#auth-token-response-verification", "#scopes")
def test_each_step_of_response_verification_refuses(changed: dict[str, Any], names: str) -> None:
    with refused(TokenInvalid, names):
        response(**changed)


@pytest.mark.spec("#scopes")
def test_a_narrowed_scope_is_taken_and_so_is_none() -> None:
    response({"scope": "a b c"}, scope="b")
    response({"scope": "a b c"}, scope="")


# --------------------------------------------------------------------------- what can be asked


@pytest.mark.parametrize(
    "claims",
    [
        {"scope": "calendar.read"},
        {"scope": " ".join(f"s{number}" for number in range(50))},
        {"scope": "!~#[]" + "x" * 251},
        {"account": "acme"},
        {"account": "x" * 512},
        {"account": "Zoë 東京"},
    ],
)
@pytest.mark.spec("#resource-token-verification", "#scopes", "#account-binding")
def test_what_a_resource_asks_for_can_be_shown(claims: dict[str, Any]) -> None:
    check_askable(read("aa-resource+jwt", **claims))


@pytest.mark.parametrize(
    ("claims", "names"),
    [
        ({"scope": ""}, "no scope"),
        ({"scope": "  "}, "no scope"),
        ({"scope": " ".join(f"s{number}" for number in range(51))}, "at most 50"),
        ({"scope": "calendar.read\ttab"}, "well-formed"),
        ({"scope": 'calendar.read quo"te'}, "well-formed"),
        ({"scope": "calendar.read back\\slash"}, "well-formed"),
        ({"scope": "calendar.read " + "x" * 257}, "well-formed"),
        ({"scope": "kalender.lesen straße"}, "well-formed"),
        ({"account": "x" * 513}, "at most 512"),
        ({"account": "two\nlines"}, "printable"),
        ({"account": "right\u202eleft"}, "printable"),
    ],
)
@pytest.mark.spec("#resource-token-verification", "#scopes", "#account-binding")
def test_what_cannot_be_shown_or_decided_is_refused(claims: dict[str, Any], names: str) -> None:
    with refused(InvalidResourceToken, names):
        check_askable(read("aa-resource+jwt", **claims))


@pytest.mark.parametrize(
    ("changed", "names"),
    [
        ({"presented_jti": "another"}, " presented_jti "),
        ({"ps": OTHER}, " ps "),
        ({"sub": "another"}, " sub "),
        ({"mission_s256": "another"}, " mission_s256 "),
        ({"tenant": "another"}, " tenant "),
    ],
)
@pytest.mark.spec("#resource-token-verification")
def test_a_mismatch_names_the_claim(changed: dict[str, Any], names: str) -> None:
    with refused(InvalidResourceToken, names):
        check_presented_token(read("aa-resource+jwt", **changed), read("aa-person+jwt"))
