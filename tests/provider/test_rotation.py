"""Agent tokens while the provider's keys rotate (`store.keyring`)."""

from __future__ import annotations

from typing import Any

import pytest

from aauthlib.keys import SigningKey


@pytest.mark.spec("#jwks-discovery", "#agent-token-verification")
async def test_tokens_from_before_and_after_a_rotation_verify(world: Any) -> None:
    durable = SigningKey.generate()
    before = await world.enroll(durable)
    await world.provider.rotate_keys()
    world.clock.now += 600
    after = await world.provider.refresh(world.request("/refresh", {}, durable))
    old, new = await world.verified(before["agent_token"]), await world.verified(after.json()["agent_token"])
    assert old.kid != new.kid
