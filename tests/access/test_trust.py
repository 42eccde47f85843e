"""Who is trusted, and how much a person server that nobody knows may ask."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from aauthlib import errors
from aauthlib.access import NeedApproval, Trust
from aauthlib.access.trust import Limits, Turnstile
from aauthlib.keys import SigningKey

from .parties import OTHER_PS, PS, Clock, World


@pytest.mark.spec("#ps-as-trust-establishment")
def test_a_person_server_is_trusted_for_its_tenants_and_not_for_another_ones() -> None:
    trust = Trust({PS: {"corp"}, OTHER_PS: None})
    assert trust.covers(PS, "corp")
    assert not trust.covers(PS, None)
    assert not trust.covers(PS, "other")
    assert trust.covers(OTHER_PS, None)
    assert not trust.covers("https://evil.example", "corp")


@pytest.mark.spec("#ps-as-trust-establishment")
async def test_a_person_server_that_asserts_anothers_tenant_is_not_trusted_for_it(world: World) -> None:
    world.server.turnstile.trust = Trust({PS: {"corp"}})
    key = SigningKey.generate()
    await world.granted(world.bundle(key, presented_token=world.person(key, tenant="corp")))
    assert world.policy.seen[-1].trusted is True
    foreign = world.bundle(
        key,
        presented_token=world.person(key, iss=OTHER_PS, tenant="corp"),
        agent_token=world.agent(key, ps=OTHER_PS),
    )
    assert (await world.ask(foreign, issuer=OTHER_PS)).status == 200
    assert (world.policy.seen[-1].trusted, world.policy.seen[-1].person_server) == (False, OTHER_PS)


async def test_unknown_person_servers_may_have_few_requests_waiting_and_known_ones_many(world: World) -> None:
    world.policy.decide = lambda facts: NeedApproval()
    world.server.turnstile.limits = Limits(open_first_contact=3)
    for _ in range(3):
        await world.ask()
    with pytest.raises(errors.RateLimited):
        await world.ask()
    world.server.turnstile.trust = Trust({PS: None})
    assert (await world.ask()).status == 202


@pytest.mark.spec("#ps-as-trust-establishment")
async def test_an_unknown_person_server_that_asks_at_once_gets_no_more_waiting(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.policy.decide = lambda facts: NeedApproval()
    world.server.turnstile.limits = Limits(open_first_contact=1)
    count, everybody = world.server.store.open_exchanges, asyncio.Barrier(3)

    async def counted(*args: Any, **kwargs: Any) -> tuple[int, int, int]:
        found = await count(*args, **kwargs)
        # Nobody opens a request before all have counted, unless they are kept from counting.
        with suppress(TimeoutError, asyncio.BrokenBarrierError):
            await asyncio.wait_for(everybody.wait(), 0.05)
        return found

    monkeypatch.setattr(world.server.store, "open_exchanges", counted)
    answers = await asyncio.gather(*(world.ask() for _ in range(3)), return_exceptions=True)
    assert [type(answer) for answer in answers].count(errors.RateLimited) == 2


async def test_all_unknown_person_servers_together_are_bounded(world: World) -> None:
    world.policy.decide = lambda facts: NeedApproval()
    world.server.turnstile.limits = Limits(open_all_first_contacts=1)
    await world.ask()
    key = SigningKey.generate()
    other = world.bundle(key, presented_token=world.person(key, iss=OTHER_PS), agent_token=world.agent(key, ps=None))
    with pytest.raises(errors.RateLimited):
        await world.ask(other, issuer=OTHER_PS)


def test_the_rate_of_first_contacts_is_bounded_alone_and_together() -> None:
    clock = Clock()
    turnstile = Turnstile(Trust({PS: None}), Limits(rate_first_contact=2, rate_all_first_contacts=3), clock=clock)
    for _ in range(10):
        turnstile.count(PS)
    turnstile.count(OTHER_PS)
    turnstile.count(OTHER_PS)
    with pytest.raises(errors.RateLimited):
        turnstile.count(OTHER_PS)
    turnstile.count("https://third.example")
    with pytest.raises(errors.RateLimited) as limited:
        turnstile.count("https://fourth.example")
    assert 0 < limited.value.retry_after_s <= 61
    clock.now += 61
    turnstile.count(OTHER_PS)


async def test_what_fails_verification_counts_too(world: World) -> None:
    world.server.turnstile = Turnstile(Trust({}), Limits(rate_first_contact=1), clock=world.clock)
    with pytest.raises(errors.InvalidResourceToken):
        await world.ask({**world.bundle(), "resource_token": "x"})
    with pytest.raises(errors.RateLimited):
        await world.ask()
