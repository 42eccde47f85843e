"""How trust comes about, walked through by rules a person could have written (#ps-as-trust-establishment)."""

from __future__ import annotations

import pytest

from aauthlib import errors
from aauthlib.access import CallablePolicy, NeedApproval, RulesPolicy, Trust
from aauthlib.access.trust import Limits, Turnstile
from aauthlib.http import Response
from aauthlib.keys import JWKS, SigningKey
from aauthlib.store.access_tables import billing

from .parties import OTHER_PS, PS, World, invitation, requirement_of

pytestmark = pytest.mark.spec("#ps-as-trust-establishment")

RULES = """
version = "1"

[[rule]]
name = "our own people read and write"
decision = "allow"
[rule.when]
trusted = true

[[rule]]
name = "a person who bound their server reads"
decision = "narrow"
scope = ["calendar.read"]
[rule.when]
bound = true

[[rule]]
name = "customers pay once"
decision = "payment"
amount = "500"
currency = "EUR"
any_person_server = true
[rule.when]
tenant = "customer"

[[rule]]
name = "customers read"
decision = "narrow"
scope = ["calendar.read"]
any_person_server = true
[rule.when]
tenant = "customer"

[[rule]]
name = "guests say who they are"
decision = "claims"
claims = ["email"]
any_person_server = true
[rule.when]
tenant = "guest"

[[rule]]
name = "guests read with an address of ours"
decision = "narrow"
scope = ["calendar.read"]
any_person_server = true
[rule.when]
tenant = "guest"
claims.email = "*@corp.example"

[[rule]]
name = "guests without one do not"
decision = "deny"
reason = "Guests need an address of ours."
any_person_server = true
[rule.when]
tenant = "guest"

[[rule]]
name = "everybody else binds their server"
decision = "interaction"
"""


@pytest.fixture
async def world(world: World) -> World:
    world.server.decider = RulesPolicy.read(RULES)
    world.server.turnstile.trust = Trust({PS: {"corp"}})
    return world


async def ask(world: World, *, ps: str = PS, tenant: str | None = None, sub: str = "alice") -> Response:
    """A request to read and write by an agent of that person server, for somebody of that organisation."""
    key = SigningKey.generate()
    presented = world.person(key, iss=ps, sub=sub, **({"tenant": tenant} if tenant else {}))
    body = world.bundle(
        key, presented_token=presented, agent_token=world.agent(key, ps=ps), scope="calendar.read calendar.write"
    )
    return await world.ask(body, issuer=ps)


async def scope(world: World, response: Response) -> tuple[str, ...]:
    return (await world.token_of(response)).scope or ()


async def test_a_server_known_in_advance_is_trusted_for_its_organisation_alone(world: World) -> None:
    assert await scope(world, await ask(world, tenant="corp")) == ("calendar.read", "calendar.write")
    assert requirement_of(await ask(world)).value == "interaction"
    assert requirement_of(await ask(world, ps=OTHER_PS, tenant="corp")).value == "interaction", "anybody can say corp"


async def test_a_person_binds_their_server_once_for_themselves(world: World) -> None:
    asked = await ask(world, ps=OTHER_PS)
    handle, code = invitation(asked)
    await world.server.arrive(handle, code, "alice here")
    await world.server.approve(handle, "alice here")
    assert await scope(world, await world.poll(asked, issuer=OTHER_PS)) == ("calendar.read",)
    assert await scope(world, await ask(world, ps=OTHER_PS)) == ("calendar.read",)
    assert requirement_of(await ask(world, ps=OTHER_PS, sub="bob")).value == "interaction"
    assert requirement_of(await ask(world, ps=PS)).value == "interaction"


@pytest.mark.spec("#as-response")
async def test_a_server_that_paid_is_trusted_from_then_on_and_another_is_not(world: World) -> None:
    asked = await ask(world, ps=OTHER_PS, tenant="customer")
    assert asked.status == 402
    assert (await world.poll(asked, issuer=OTHER_PS)).status == 402, "not before it is paid"
    world.settlement.pay(asked.json()["payment"]["id"])
    assert await scope(world, await world.poll(asked, issuer=OTHER_PS)) == ("calendar.read",)
    assert await scope(world, await ask(world, ps=OTHER_PS, tenant="customer", sub="bob")) == ("calendar.read",)
    assert (await ask(world, ps=PS, tenant="customer")).status == 402


@pytest.mark.spec("#requirement-claims")
async def test_claims_alone_can_be_enough(world: World) -> None:
    for email, allowed in (("ann@corp.example", True), ("ann@evil.example", False)):
        asked = await ask(world, ps=OTHER_PS, tenant="guest")
        assert requirement_of(asked).value == "claims"
        if allowed:
            answer = await world.post(asked, {"email": email}, issuer=OTHER_PS)
            assert await scope(world, answer) == ("calendar.read",)
        else:
            with pytest.raises(errors.Denied, match="an address of ours"):
                await world.post(asked, {"email": email}, issuer=OTHER_PS)


async def test_what_waits_is_bounded_for_strangers_each_and_together_and_not_for_who_paid(world: World) -> None:
    world.server.turnstile.limits = Limits(open_first_contact=2, open_all_first_contacts=3)
    for sub in ("a", "b"):
        assert (await ask(world, ps=OTHER_PS, sub=sub)).status == 202
    with pytest.raises(errors.RateLimited):
        await ask(world, ps=OTHER_PS, sub="c")
    assert await scope(world, await ask(world, tenant="corp")), "who is known is served all the same"
    # Once a payment of an earlier request comes in, it is a stranger no more, and makes room for others.
    await _pays(world, OTHER_PS)
    assert (await ask(world, ps=OTHER_PS, sub="c")).status == 202
    third = "https://third-ps.example"
    world.server_keys[third] = SigningKey.generate()
    world.directory.publish(third, JWKS.of(world.server_keys[third]))
    assert (await ask(world, ps=third, sub="d")).status == 202


async def test_one_organisation_of_a_known_server_leaves_room_for_the_others(world: World) -> None:
    world.server.decider = CallablePolicy(lambda facts: NeedApproval())
    world.server.turnstile.trust = Trust({PS: None})
    world.server.turnstile.limits = Limits(open_known=4, open_tenant=2)
    for sub in ("a", "b"):
        await ask(world, tenant="corp", sub=sub)
    with pytest.raises(errors.RateLimited):
        await ask(world, tenant="corp", sub="c")
    assert (await ask(world, tenant="lab", sub="d")).status == 202
    assert (await ask(world, sub="e")).status == 202
    with pytest.raises(errors.RateLimited):
        await ask(world, sub="f")


async def test_how_often_a_stranger_asks_is_bounded_until_it_has_paid(world: World) -> None:
    world.server.turnstile = Turnstile(Trust({PS: {"corp"}}), Limits(rate_first_contact=3), clock=world.clock)
    for _ in range(3):
        await ask(world, ps=OTHER_PS)
    with pytest.raises(errors.RateLimited):
        await ask(world, ps=OTHER_PS)
    await _pays(world, OTHER_PS)
    for _ in range(5):
        await ask(world, ps=OTHER_PS)


async def _pays(world: World, ps: str) -> None:
    """A request that it paid for before the limits of the test held."""
    async with world.database.transaction() as connection:
        await connection.execute(billing.insert().values(ps=ps, settled_at=world.clock()))
