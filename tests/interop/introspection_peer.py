"""`introspection-aauth` as the tests meet it: its servers under their names, and our agent in a mission of theirs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2

from aauthlib.agent import AsyncMission, GrantPreferences
from tests.interop.introspection_apps import Mapped, access_app, person_app
from tests.interop.world import AS, PS, RS, World

PERSON_TOKENS, AUTH_TOKENS, MISSIONS = f"{PS}/aauth/person-token", f"{PS}/aauth/token", f"{PS}/aauth/mission"
DANA = "dana@acme.example"


@asynccontextmanager
async def introspection(world: World, role: str, *, decision: str = "approve") -> AsyncIterator[None]:
    """Their server of that role; its person or its policy decides as `decision` says (introspection_apps.py)."""
    identifier, build = (PS, person_app) if role == "person" else (AS, access_app)
    async with httpx2.AsyncClient(transport=Mapped(world.names), trust_env=False) as http:
        await world.serve(identifier, build(http, decision))
        yield


async def on_mission(world: World, **options: Any) -> AsyncMission:
    """Our agent, known to the person, within a mission the person approved."""
    agent = world.agent(preferences=GrantPreferences(login_hint=DANA), **options)
    # They bind a key to the first person it names, and a proposal of ours names nobody.
    await agent.person_token(RS)
    return await agent.missions.propose("Read and change the **data**.", resources=[RS])
