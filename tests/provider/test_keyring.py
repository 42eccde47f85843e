"""Rotation: published before used, kept until nothing needs it."""

from __future__ import annotations

from typing import Any

import pytest

from aauthlib.keys import SigningKey
from aauthlib.provider import KeyRing


def ring(world: Any, **options: Any) -> KeyRing:
    return KeyRing(world.store, clock=world.clock, token_lifetime_s=3600, **options)


async def kids(keys: KeyRing) -> list[str]:
    return [str(member["kid"]) for member in (await keys.published()).members]


@pytest.mark.spec("#jwks-discovery")
async def test_the_first_key_is_published_and_signs_at_once(world: Any) -> None:
    keys = ring(world)
    assert await kids(keys) == [(await keys.signing_key()).kid]


@pytest.mark.spec("#jwks-discovery")
async def test_a_new_key_is_published_before_it_signs(world: Any) -> None:
    keys = ring(world, lead_s=600)
    old = await keys.signing_key()
    await keys.rotate()
    published = await kids(keys)
    assert published[0] == old.kid
    assert len(published) == 2
    world.clock.now += 599
    assert (await keys.signing_key()).kid == old.kid
    world.clock.now += 1
    assert (await keys.signing_key()).kid == published[1]


@pytest.mark.spec("#jwks-discovery")
async def test_the_old_key_stays_until_its_last_token_has_expired(world: Any) -> None:
    keys = ring(world, lead_s=600)
    old = await keys.signing_key()
    await keys.rotate()
    world.clock.now += 600 + 3600
    assert old.kid in await kids(keys)
    world.clock.now += 300
    assert old.kid not in await kids(keys)
    assert [key.kid for key in await world.store.keys()] == [(await keys.signing_key()).kid]


@pytest.mark.spec("#jwks-discovery")
async def test_keys_rotate_by_themselves(world: Any) -> None:
    keys = ring(world, rotation_s=86_400)
    old = await keys.signing_key()
    world.clock.now += 86_400
    assert (await keys.signing_key()).kid == old.kid
    assert len(await kids(keys)) == 2
    world.clock.now += 600
    assert (await keys.signing_key()).kid != old.kid


@pytest.mark.spec("#jwks-discovery")
async def test_another_process_publishes_a_new_key_before_it_signs(world: Any) -> None:
    one, two = ring(world, lead_s=600), ring(world, lead_s=600)
    assert (await one.signing_key()).kid == (await two.signing_key()).kid
    await one.rotate()
    world.clock.now += 300
    assert await kids(two) == await kids(one)
    world.clock.now += 300
    assert (await one.signing_key()).kid == (await two.signing_key()).kid


@pytest.mark.spec("#jwks-discovery")
async def test_two_processes_that_rotate_at_once_make_one_key(world: Any) -> None:
    one, two = ring(world), ring(world)
    await one.published()
    await two.published()
    await one.rotate()
    await two.rotate()
    assert len(await world.store.keys()) == 2


async def test_a_clock_set_back_does_not_leave_the_provider_without_a_key(world: Any) -> None:
    keys = ring(world)
    key = await keys.signing_key()
    world.clock.now -= 10_000
    assert (await keys.signing_key()).kid == key.kid


@pytest.mark.spec("#jwks-discovery", "#agent-token-verification")
async def test_tokens_from_before_and_after_a_rotation_verify(world: Any) -> None:
    durable = SigningKey.generate()
    before = await world.enroll(durable)
    await world.provider.rotate_keys()
    world.clock.now += 600
    after = await world.provider.refresh(world.request("/refresh", {}, durable))
    old, new = await world.verified(before["agent_token"]), await world.verified(after.json()["agent_token"])
    assert old.kid != new.kid
