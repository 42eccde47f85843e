"""`@hellocoop/mockin`, a real Node.js process, as the person server of a world."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from aauthlib import jws
from aauthlib.http import Fields, Request, Response
from aauthlib.keys import SigningKey
from aauthlib.resource import issuing
from aauthlib.tokens import AuthToken, PersonToken, issue_resource_token
from tests.conftest import NODE_PEERS
from tests.interop.world import PS, World, deliver, process

MOCKIN = NODE_PEERS / "node_modules" / "@hellocoop" / "mockin"
PERSON_TOKENS, AUTH_TOKENS = f"{PS}/aauth/token/person", f"{PS}/aauth/token/auth"
#: Where requests are made that mockin signs in its own right (node/federate.mjs).
FEDERATION = "https://federation.example"


@asynccontextmanager
async def mockin(node: str, world: World) -> AsyncIterator[None]:
    """mockin as the person server of `world`."""
    env = {
        "PATH": os.environ["PATH"],
        "NODE_NO_WARNINGS": "1",
        "IP": "127.0.0.1",
        "PORT": str(world.names.port(PS)),
        "FEDERATE_PORT": str(world.names.port(FEDERATION)),
        "ISSUER": PS,
        "AAUTH_MAP": json.dumps(world.names.by_url()),
    }
    loaded = [part for name in ("map-names.mjs", "federate.mjs") for part in ("--import", (NODE_PEERS / name).as_uri())]
    async with process(node, *loaded, "src/server.js", ready="listening", env=env, cwd=MOCKIN):
        yield


async def told(world: World, **settings: Any) -> None:
    """Change how mockin answers."""
    request = Request("PUT", f"{PS}/mock/aauth", body=json.dumps(settings).encode())
    response = await deliver(world.wire(), request.with_headers(content_type="application/json"))
    assert response.status == 200, response.body


async def federated(world: World, method: str, url: str, body: dict[str, Any] | None = None) -> Response:
    """What the server at `url` answers to a request that mockin signs in its own right."""
    asked = {"method": method, "url": url, **({"body": body} if body is not None else {})}
    request = Request("POST", f"{FEDERATION}/", body=json.dumps(asked).encode())
    answer = (await deliver(world.wire(), request.with_headers(content_type="application/json"))).json()
    return Response(answer["status"], Fields(answer["headers"]), answer["body"].encode())


@pytest.fixture
def earlier_claim(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our resource also names a person token by `person_token_jti`, on a step-up the one that came before.

    That is the earlier -11; the final text names the token that was presented, of either kind, by `presented_jti`
    (#resource-token-structure).
    """
    person_tokens: dict[str, str] = {}

    def issue(key: SigningKey, *, presented: PersonToken | AuthToken, **options: Any) -> str:
        holder = presented.cnf.thumbprint
        if isinstance(presented, PersonToken):
            person_tokens[holder] = presented.jti
        token = jws.parse(issue_resource_token(key, presented=presented, **options))
        return jws.sign(token.header, {**token.payload, "person_token_jti": person_tokens[holder]}, key)

    monkeypatch.setattr(issuing, "issue_resource_token", issue)
