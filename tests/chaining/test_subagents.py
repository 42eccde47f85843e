"""A sub-agent that calls an intermediary: it calls in its own name, its parent speaks for it, and below it is nobody's
child (#sub-agents, #call-chaining)."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from aauthlib import errors
from aauthlib.agent.errors import ChallengeUnmet
from aauthlib.jws import parse
from aauthlib.resource import Grant
from aauthlib.verification import Level

from .parties import Parties

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.spec("#sub-agents", "#parent-mediated-authorization", "#call-chaining"),
]


async def test_a_sub_agent_is_served_through_two_intermediaries_and_the_person_is_led_through(
    parties: Parties,
) -> None:
    child = parties.agent.spawn("search1")
    response = await child.get(f"{parties.url['a']}/read", params={"to": "b,c"})
    assert response.status_code == 200, response.text
    assert len({hop["sub"] for hop in response.json()}) == 3
    own = await child.agent_token()
    bodies = [(q, msgspec.json.decode(q.body)) for q, _ in parties.carried if b"_token" in q.body]
    above = [parse(body["subagent_token"]).payload["sub"] for _, body in bodies if "subagent_token" in body]
    assert set(above) == {own.sub}
    below = [body for _, body in bodies if "upstream_token" in body]
    assert below and not any("subagent_token" in body for body in below), "the chain is the intermediary's own"
    upstream = {parse(body["upstream_token"]).payload["aud"]: parse(body["upstream_token"]).payload for body in below}
    assert upstream[parties.url["a"]]["cnf"]["jwk"]["x"] == own.cnf.to_jwk()["x"]
    # What the person agreed to is the parent's, so the parent is not asked about again.
    seen = len(parties.directed)
    assert (await parties.agent.get(f"{parties.url['a']}/read", params={"to": "b,c"})).status_code == 200
    assert len(parties.directed) == seen


@pytest.mark.spec("#pending-url-security")
async def test_neither_its_parent_nor_its_sister_fetches_what_a_sub_agent_waits_for(parties: Parties) -> None:
    assert (await parties.agent.get(f"{parties.url['a']}/me")).status_code == 200
    child, sister = parties.agent.spawn("search1"), parties.agent.spawn("search2")
    for agent in (child, sister):
        assert (await agent.get(f"{parties.url['a']}/me")).status_code == 200
    parties.directed.clear()
    parties.decide = None
    call = asyncio.create_task(child.get(f"{parties.url['a']}/me", params={"to": "c"}))
    await parties.until(lambda: len(parties.directed) == 1)
    location = next(
        r.headers.get("location") or ""
        for q, r in reversed(parties.carried)
        if r.status == 202 and q.origin == parties.url["a"]
    )
    assert [(await agent.get(location)).status_code for agent in (parties.agent, sister)] == [404, 404]
    await parties.approve(parties.directed[0])
    assert (await call).status_code == 200


@pytest.mark.spec("#upstream-token-verification", "#revocation-cascade")
async def test_ending_the_parents_access_ends_what_an_intermediary_does_for_its_sub_agent(parties: Parties) -> None:
    child = parties.agent.spawn("search1")
    assert (await child.get(f"{parties.url['a']}/me", params={"to": "c"})).status_code == 200
    held = await child.person_token(parties.url["a"])
    parent = await parties.agent.agent_token()
    # Ada ends it on her page; the child's own token has not expired and nobody else has withdrawn it.
    await parties.person_app.server.disconnect(parties.person_id, (parent.iss, parent.sub))
    acting = parties.services["a"].downstream({"aauth": Grant(level=Level.PERSON, presented=held)})
    with pytest.raises(errors.RevokedUpstreamToken):
        await acting.get(f"{parties.url['b']}/me")


async def test_an_intermediary_has_no_sub_agents(parties: Parties) -> None:
    held = await parties.agent.person_token(parties.url["a"])
    acting = parties.services["a"].downstream({"aauth": Grant(level=Level.PERSON, presented=held)})
    with pytest.raises(ChallengeUnmet, match="no sub-agents"):
        await acting.spawn("helper").get(f"{parties.url['c']}/me")
