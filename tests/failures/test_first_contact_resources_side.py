"""An agent's first contact with a resource behind an access server, while one of these two fails."""

from __future__ import annotations

import pytest

from .flows import FIRST_CONTACT, Flow, Strike
from .hosts import Fault
from .strikes import survives
from .town import AS, GUARDED, Town

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.spec("#ps-as-federation", "#auth-token-delivery", "#jwks-discovery")
@pytest.mark.parametrize(("flow", "strike", "fault"), FIRST_CONTACT.cells(GUARDED, AS))
async def test_a_first_contact_survives_the_resources_side(
    town: Town, flow: Flow, strike: Strike, fault: Fault
) -> None:
    await survives(town, flow, strike, fault, lambda: town.agent.get(town.reports))
