"""An intermediary calls on for its caller, while it fails itself."""

from __future__ import annotations

import pytest

from .flows import CHAIN, Flow, Strike
from .hosts import Fault
from .strikes import survives
from .town import MIDDLE, Town

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.spec("#call-chaining", "#interaction-chaining", "#intermediary-agent-identity")
@pytest.mark.parametrize(("flow", "strike", "fault"), CHAIN.cells(MIDDLE))
async def test_a_chain_survives_its_intermediary(town: Town, flow: Flow, strike: Strike, fault: Fault) -> None:
    await survives(town, flow, strike, fault, lambda: town.agent.get(town.url(MIDDLE, flow.path)))
