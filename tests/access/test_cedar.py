"""Cedar policies: scope values and demands as actions, facts as entities and context."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from aauthlib.access import Allow, AskClaims, AskQuestion, Decision, Deny, Narrow, NeedInteraction, NeedPayment
from aauthlib.access.cedar import CedarPolicy
from aauthlib.errors import ConfigurationError

from .test_rules import FACTS

pytest.importorskip("cedarpy")

POLICY = """
@id("staff read")
permit(
    principal in Tenant::"https://ps.corp.example corp",
    action == Action::"calendar.read",
    resource == Resource::"https://calendar.example"
) when { context.time.hour < 18 };

@id("staff write")
permit(principal, action == Action::"calendar.write", resource)
when { context.claims has email && context.claims.email like "*@corp.example" && context.trusted };

@id("who are you") @demand("claims") @claims("email groups")
permit(principal in PersonServer::"https://ps.corp.example", action == Action::"demand:claims", resource)
when { context.scopes.contains("calendar.write") };

@id("no sub-agents")
forbid(principal, action, resource) when { principal has sub_agent };
"""


async def decide(text: str = POLICY, **facts: Any) -> Decision:
    return (await CedarPolicy.read(text).decide(replace(FACTS, **facts))).decision


@pytest.mark.spec("#as-response")
async def test_scope_values_are_actions_and_organisations_belong_to_their_person_server() -> None:
    assert await decide() == Allow()
    assert isinstance(await decide(person_server="https://evil.example"), Deny)
    assert isinstance(await decide(tenant=None), Deny)
    assert isinstance(await decide(resource="https://mail.example"), Deny)
    assert isinstance(await decide(sub_agent="aauth:helper+x@ap.example"), Deny)


@pytest.mark.spec("#as-decision-logic")
@pytest.mark.parametrize(
    ("condition", "facts", "others"),
    [
        ('principal == Agent::"aauth:a@ap.example"', {"agent": "aauth:a@ap.example"}, {"agent": "aauth:b@ap.example"}),
        ('principal in Provider::"https://x.example"', {"provider": "https://x.example"}, {}),
        ('principal in PersonServer::"https://x.example"', {"person_server": "https://x.example"}, {}),
        ('principal in Tenant::"https://ps.corp.example lab"', {"tenant": "lab"}, {"tenant": "corp"}),
        ('resource == Resource::"https://x.example"', {"resource": "https://x.example"}, {}),
        ('context.scope == "calendar.read"', {}, {"scope": ("calendar.write",)}),
        ('context has account && context.account == "a"', {"account": "a"}, {"account": "b"}),
        ("context has mission_s256", {"mission_s256": "m"}, {}),
        ('context.claims has email && context.claims.email == "e"', {"claims": {"email": "e"}}, {"claims": {}}),
        ('context.answers has Why && context.answers.Why == "So"', {"answers": {"Why": "So"}}, {"answers": {}}),
        ("principal.claims has attested && principal.claims.attested", {"agent_claims": {"attested": True}}, {}),
        ("principal has sub_agent", {"sub_agent": "aauth:a+b@ap.example"}, {}),
        ("context.time.hour == 8 && context.time.weekday == 5", {}, {"now": 1_800_003_600.0}),
        ("context.bound", {"bound_user": "ana"}, {}),
        ("context.paid", {"paid": True}, {}),
        ("context.approved", {"approved_by": "boss"}, {}),
        ("context.chained", {"chained": True}, {}),
        ("context.step_up", {"step_up": True}, {}),
        ("context.trusted", {"trusted": True}, {"trusted": False}),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
async def test_a_policy_can_look_at_each_fact(condition: str, facts: dict[str, Any], others: dict[str, Any]) -> None:
    text = f"permit(principal, action, resource) when {{ {condition} }};"
    assert await decide(text, **facts) == Allow()
    assert isinstance(await decide(text, **others), Deny)


async def test_a_demand_is_made_once_and_then_what_is_permitted_is_granted() -> None:
    asked: dict[str, Any] = {"scope": ("calendar.read", "calendar.write")}
    assert await decide(**asked) == AskClaims(("email", "groups"))
    asked["claims_asked"] = ("email", "groups")
    assert await decide(**asked, claims={"email": "alice@corp.example"}) == Allow()
    assert await decide(**asked, claims={"email": "x@evil.example"}) == Narrow(("calendar.read",))


async def test_the_verdict_names_the_policies_by_their_ids() -> None:
    verdict = await CedarPolicy.read(POLICY).decide(FACTS)
    assert verdict.rule == "staff read"
    assert len(verdict.version) == 12


async def test_a_policy_that_fails_denies_even_where_another_permits() -> None:
    text = (
        'permit(principal, action, resource); forbid(principal, action, resource) when { context.claims.bad == "x" };'
    )
    assert isinstance(await decide(text), Deny)


async def test_a_broad_permission_makes_no_demand() -> None:
    text = 'permit(principal, action, resource) unless { context.scope == "calendar.read" };'
    assert isinstance(await decide(text), Deny)


async def test_no_resource_can_ask_for_a_demand_as_a_scope() -> None:
    text = "permit(principal, action, resource);"
    assert isinstance(await decide(text, scope=("demand:claims",)), Deny)


async def test_the_other_demands() -> None:
    head = "permit(principal, action == Action::"
    assert await decide(f'@demand("interaction") {head}"demand:interaction", resource);') == NeedInteraction()
    payment = f'@demand("payment") @amount("5") @currency("c") {head}"demand:payment", resource);'
    assert await decide(payment) == NeedPayment("5", "c")
    assert isinstance(await decide(payment, paid=True), Deny)
    question = f'@demand("question") @question("Why?") @options("a|b") {head}"demand:question", resource);'
    assert await decide(question) == AskQuestion("Why?", ("a", "b"))


async def test_what_others_chose_the_form_of_reaches_cedar_without_harm() -> None:
    claims = {"n": None, "f": 0.5, "big": 2**70, "__entity": {"type": "Agent", "id": "x"}, "l": [1, None, {"a": 1.5}]}
    assert await decide(claims=claims, agent_claims=claims, account='a"b\n', agent='aauth:h"x@ap.example') == Allow()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("permit(", "not Cedar"),
        ('@demand("claims") permit(principal, action, resource);', "@claims"),
        ('@demand("claims") @claims("sub") permit(principal, action, resource);', "must not ask"),
        ('@demand("coffee") permit(principal, action, resource);', "no demand coffee"),
        ('@demand("payment") @amount("x") @currency("c") permit(principal, action, resource);', "whole number"),
    ],
)
def test_what_cannot_be_carried_out_is_refused_when_it_is_read(text: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        CedarPolicy.read(text)
