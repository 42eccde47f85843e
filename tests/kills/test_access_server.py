"""Both servers are killed at every step of an exchange of four parties."""

from __future__ import annotations

import pytest

from .matrix import survives
from .scene import Scene
from .town import AS, PS, Town

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(900)]
GUARDED = "guarded"
#: What the person has allowed goes to the access server as a request of its own.
ASKED_AGAIN = frozenset({("requests", ("auth_token", "delivered"))})


async def known(scene: Scene) -> None:
    scene.kept["token"] = await scene.person_token(GUARDED)


async def trusted(scene: Scene) -> None:
    await known(scene)
    scene.kept["read"] = await scene.auth_token(scene.kept["token"], "reports.read", guarded=True)


@pytest.mark.spec("#ps-as-federation", "#auth-token-delivery")
@pytest.mark.parametrize("at", [PS, AS])
async def test_what_the_person_allows_and_the_access_server_decides_is_delivered(town: Town, at: str) -> None:
    async def flow(scene: Scene) -> None:
        granted = await scene.auth_token(scene.kept["token"], "reports.read", guarded=True)
        assert (granted.iss, granted.scope) == (town.issuer(AS), ("reports.read",))

    await survives(town, flow, prepare=known, at=at, repeated=ASKED_AGAIN)


@pytest.mark.spec("#ps-to-as-token-request", "#re-authorization")
@pytest.mark.parametrize("at", [PS, AS])
async def test_a_step_up_at_an_access_server(town: Town, at: str) -> None:
    async def flow(scene: Scene) -> None:
        granted = await scene.auth_token(scene.kept["read"], "reports.read reports.write", guarded=True)
        assert granted.scope == ("reports.read", "reports.write")

    await survives(town, flow, prepare=trusted, at=at, repeated=ASKED_AGAIN)
