from __future__ import annotations
import pytest
from .world import *
pytestmark = pytest.mark.asyncio(loop_scope="module")
async def test_x(city):
    r = await city.agent.get(f"{CALENDAR}/events")
    assert r.status_code == 200
    print([ (q.method,q.url,p.status) for q,p in city.network.carried])
    print(len(city.tokens(AgentToken)), len(city.tokens(PersonToken)), len(city.tokens(AuthToken)))
