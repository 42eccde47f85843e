"""An intermediary calls on with an auth token, and a person who does not let one, while a server fails."""

from __future__ import annotations

import pytest

from .flows import CHAIN_DENIED, CHAIN_OF_GRANTS, Flow, Strike
from .hosts import Fault
from .strikes import attempt, survives
from .town import MIDDLE, Town

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.spec("#call-chaining", "#interaction-chaining", "#upstream-token-verification")
@pytest.mark.parametrize(("flow", "strike", "fault"), CHAIN_OF_GRANTS.cells())
async def test_a_chain_of_grants_survives(town: Town, flow: Flow, strike: Strike, fault: Fault) -> None:
    await survives(town, flow, strike, fault, lambda: town.agent.get(town.url(MIDDLE, flow.path)))


@pytest.mark.spec("#interaction-chaining", "#polling-error-codes")
@pytest.mark.parametrize(("flow", "strike", "fault"), CHAIN_DENIED.cells())
async def test_a_no_to_an_intermediary_stays_one(town: Town, flow: Flow, strike: Strike, fault: Fault) -> None:
    """Nothing that goes wrong, and no retry, turns a no into a token."""
    assert (await attempt(town.agent.get(town.url(MIDDLE, "/me")))).status == 404, "it is known, and has nothing there"
    town.decision = "deny"
    again = await survives(town, flow, strike, fault, lambda: town.agent.get(town.url(MIDDLE, flow.path)))
    assert "denied" in (again.end, again.said), again
