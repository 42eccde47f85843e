"""Three-party flows against `@hellocoop/mockin`, a person server written elsewhere, run as a real Node.js process.

Our agent, agent provider and resource are real servers too. mockin 2.0.0 follows an earlier -11; where the final text
decides against it, the work-around stands here and docs/interop.md names the sentence.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from aauthlib import jws
from aauthlib.agent import AsyncAgent, ChallengeUnmet
from aauthlib.effects import Direct
from aauthlib.errors import AAuthError, Denied, InvalidResourceToken, UserUnreachable
from aauthlib.http import Request
from aauthlib.resource import issuing
from aauthlib.tokens import AuthToken, PersonToken, issue_resource_token
from tests.conftest import NODE_PEERS
from tests.interop.world import AP, PS, RS, Exchange, World, deliver, exchanges, open_world, process, seen

pytestmark = pytest.mark.interop

MOCKIN = NODE_PEERS / "node_modules" / "@hellocoop" / "mockin"
PERSON_TOKENS, AUTH_TOKENS = f"{PS}/aauth/token/person", f"{PS}/aauth/token/auth"


@asynccontextmanager
async def mockin(node: str, world: World) -> AsyncIterator[None]:
    """mockin as the person server of `world`."""
    env = {
        "PATH": os.environ["PATH"],
        "NODE_NO_WARNINGS": "1",
        "IP": "127.0.0.1",
        "PORT": str(world.names.port(PS)),
        "ISSUER": PS,
        "AAUTH_MAP": json.dumps(world.names.by_url()),
    }
    command = (node, "--import", (NODE_PEERS / "map-names.mjs").as_uri(), "src/server.js")
    async with process(*command, ready="listening", env=env, cwd=MOCKIN):
        yield


@pytest.fixture
async def world(needs_node: str, tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as opened, mockin(needs_node, opened):
        yield opened


async def told(world: World, **settings: Any) -> None:
    """Change how mockin answers."""
    request = Request("PUT", f"{PS}/mock/aauth", body=json.dumps(settings).encode())
    response = await deliver(world.wire(), request.with_headers(content_type="application/json"))
    assert response.status == 200, response.body


@pytest.fixture
def earlier_claim(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our resource also names the presented token `person_token_jti`, as the earlier -11 did.

    The final text calls it `presented_jti` (#resource-token-structure) and has no `person_token_jti`.
    """

    def issue(key: Any, *, presented: PersonToken | AuthToken, **options: Any) -> str:
        token = jws.parse(issue_resource_token(key, presented=presented, **options))
        return jws.sign(token.header, {**token.payload, "person_token_jti": presented.jti}, key)

    monkeypatch.setattr(issuing, "issue_resource_token", issue)


def claims_of(exchange: Exchange, member: str) -> dict[str, Any]:
    """The claims of a token in a response body."""
    return jws.parse(exchange.response.json()[member]).payload


async def visited(world: World, direct: Direct) -> None:
    """The person opens the page; at mockin that is the consent."""
    page = await deliver(world.wire(), Request("GET", direct.person_url))
    assert page.status == 200 and b"Authorization approved" in page.body


# ------------------------------------------------------------------ what agrees


@pytest.mark.spec("#person-token-endpoint", "#requirement-person-token", "#person-token-verification")
async def test_our_agent_gets_a_person_token_from_mockin_and_our_resource_accepts_it(world: World) -> None:
    await world.serve_resource()
    agent = world.agent()
    response = await agent.get(f"{RS}/me")
    assert response.status_code == 200
    assert response.json()["iss"] == PS
    assert [line for line in seen(agent) if line[1] in (f"{RS}/me", PERSON_TOKENS)] == [
        ("GET", f"{RS}/me", 401),
        ("POST", PERSON_TOKENS, 200),
        ("GET", f"{RS}/me", 200),
    ]


@pytest.mark.spec("#ps-token-endpoint", "#requirement-auth-token", "#auth-token-verification")
async def test_our_agent_completes_a_three_party_flow_with_mockin(world: World, earlier_claim: None) -> None:
    await world.serve_resource()
    agent = world.agent()
    response = await agent.get(f"{RS}/data")
    assert response.status_code == 200, response.text
    assert response.json()["scope"] == ["data.read"]
    me = await agent.get(f"{RS}/me")
    assert me.json()["sub"] == response.json()["sub"]
    assert [line[1:] for line in seen(agent) if not line[1].startswith(f"{PS}/.well-known")] == [
        (f"{RS}/data", 401),
        (PERSON_TOKENS, 200),
        (f"{RS}/data", 401),
        (f"{AP}/x", 0),
    ]
