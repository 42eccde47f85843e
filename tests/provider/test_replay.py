"""The agent provider serves a state-changing request once (#freshness-and-replay)."""

from __future__ import annotations

from typing import Any

import pytest

from aauthlib.errors import InvalidSignature
from aauthlib.keys import SigningKey


@pytest.mark.spec("#freshness-and-replay")
@pytest.mark.parametrize("path", ["/enroll", "/refresh"])
async def test_a_captured_request_gets_no_second_token(world: Any, path: str) -> None:
    key = SigningKey.generate()
    await world.enroll(key)
    captured = world.request(path, {}, key)
    call = world.provider.enroll if path == "/enroll" else world.provider.refresh
    assert (await call(captured)).status == 200
    with pytest.raises(InvalidSignature, match="received before"):
        await call(captured)
    world.clock.now += 61
    with pytest.raises(InvalidSignature, match="ago"):
        await call(captured)
    assert (await call(world.request(path, {}, key))).status == 200
