"""Agents that the servers know already, and answers that are no, while a server fails."""

from __future__ import annotations

import pytest

from aauthlib.access import Deny
from aauthlib.errors import Denied

from .flows import DENIAL, STEP_UP, SUB_AGENT, Flow, Strike
from .hosts import Fault
from .strikes import attempt, survives
from .town import Town

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.spec("#re-authorization", "#ps-to-as-token-request")
@pytest.mark.parametrize(("flow", "strike", "fault"), STEP_UP.cells())
async def test_a_step_up_survives(town: Town, flow: Flow, strike: Strike, fault: Fault) -> None:
    assert (await attempt(town.agent.get(town.reports))).served
    await survives(town, flow, strike, fault, lambda: town.agent.post(town.reports, json={}))
    assert (await attempt(town.agent.get(town.reports))).served


@pytest.mark.spec("#parent-mediated-authorization", "#sub-agents")
@pytest.mark.parametrize(("flow", "strike", "fault"), SUB_AGENT.cells())
async def test_a_sub_agent_survives(town: Town, flow: Flow, strike: Strike, fault: Fault) -> None:
    assert (await attempt(town.agent.get(town.reports))).served
    child = town.agent.spawn("search")
    await survives(town, flow, strike, fault, lambda: child.get(town.reports))


@pytest.mark.spec("#auth-token-delivery", "#polling-error-codes")
@pytest.mark.parametrize(("flow", "strike", "fault"), DENIAL.cells())
async def test_a_denial_stays_one(town: Town, flow: Flow, strike: Strike, fault: Fault) -> None:
    """Nothing that goes wrong, and no retry, turns a no into a token."""
    town.policy.end = Deny("Not for agents.")
    again = await survives(town, flow, strike, fault, lambda: town.agent.get(town.reports))
    assert isinstance(again.error, Denied)
    assert "Not for agents." in str(again.error)
