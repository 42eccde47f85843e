"""#call-chaining and #interaction-chaining over real HTTP: an agent, services that call each other, a person."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2
import pytest

from aauthlib.demo.parties import loopback_client
from aauthlib.jws import parse

from .parties import Parties

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.spec("#call-chaining", "#interaction-chaining", "#directed-sub-chaining")
async def test_a_chain_of_three_asks_the_person_by_way_of_each_hop(parties: Parties) -> None:
    response = await parties.agent.get(f"{parties.url['a']}/read", params={"to": "b,c"})
    assert response.status_code == 200, response.text
    subs = [hop["sub"] for hop in response.json()]
    assert len(subs) == len(set(subs)) == 3, "each resource knows the person by a name of its own"
    # The first agent was sent to its person server, then to A; never to what is below A.
    places = {direct.url.partition("/aauth")[0].rsplit("/interaction", 1)[0] for direct in parties.directed}
    assert parties.url["b"] not in places and any(place.startswith(parties.url["a"]) for place in places)
    seen = len(parties.directed)
    again = await parties.agent.get(f"{parties.url['a']}/read", params={"to": "b,c"})
    assert again.status_code == 200
    assert len(parties.directed) == seen, "what was allowed is remembered"


@pytest.mark.spec("#call-chaining", "#ps-to-as-token-request")
async def test_downstream_may_have_an_access_server(parties: Parties) -> None:
    response = await parties.agent.get(f"{parties.url['a']}/read", params={"to": "guarded"})
    assert response.status_code == 200, response.text


@pytest.mark.spec("#intermediary-agent-identity")
async def test_an_intermediary_publishes_agent_metadata_under_the_issuer_of_its_resource_metadata(
    parties: Parties,
) -> None:
    async with loopback_client() as client:
        agent, resource = [
            (await client.get(f"{parties.url['a']}/.well-known/aauth-{kind}.json")).json()
            for kind in ("agent", "resource")
        ]
    assert agent["issuer"] == resource["issuer"] == parties.url["a"]
    assert agent["jwks_uri"] == resource["jwks_uri"]


@pytest.mark.spec("#intermediary-agent-identity", "#call-chaining")
async def test_downstream_requests_are_signed_by_the_intermediarys_own_agent_token(parties: Parties) -> None:
    assert (await parties.agent.get(f"{parties.url['a']}/me", params={"to": "c"})).status_code == 200
    asked = [r for r, _ in parties.carried if b'"upstream_token"' in r.body]
    assert asked
    for request in asked:
        token = parse((request.headers.get("signature-key") or "").partition('jwt;jwt="')[2].partition('"')[0])
        upstream = parse(httpx2.Response(200, content=request.body).json()["upstream_token"])
        assert token.payload["iss"] == upstream.payload["aud"] == parties.url["a"]
        assert token.payload["sub"].startswith("aauth:service@a.localhost")
        assert token.payload["cnf"] != upstream.payload["cnf"]
        assert "mission_s256" not in httpx2.Response(200, content=request.body).json()


@pytest.mark.spec("#call-chaining", "#person-token-structure")
async def test_nothing_downstream_outlives_the_callers_token(parties: Parties) -> None:
    assert (await parties.agent.get(f"{parties.url['a']}/read", params={"to": "c"})).status_code == 200
    for request, response in parties.carried:
        if b'"upstream_token"' not in request.body or response.status != 200:
            continue
        upstream = parse(httpx2.Response(200, content=request.body).json()["upstream_token"])
        for text in response.json().values():
            if isinstance(text, str):
                assert parse(text).payload["exp"] <= upstream.payload["exp"]


@pytest.mark.spec("#interaction-chaining")
async def test_the_caller_gets_the_intermediarys_own_location_url_and_code(parties: Parties) -> None:
    assert (await parties.agent.get(f"{parties.url['a']}/me", params={"to": "c"})).status_code == 200
    own = [(q, r) for q, r in parties.carried if q.origin == parties.url["a"] and r.status == 202]
    first = own[0][1]
    assert (first.headers.get("location") or "").startswith(f"{parties.url['a']}/aauth/chained/")
    assert "requirement=interaction" in (first.headers.get("aauth-requirement") or "")
    assert f"{parties.url['a']}/aauth/onward/" in (first.headers.get("aauth-requirement") or "")
    codes = [d.code for d in parties.directed]
    below = [r for q, r in parties.carried if b'"upstream_token"' in q.body and r.status == 202]
    assert below and not any(code in (r.headers.get("aauth-requirement") or "") for r in below for code in codes)


@pytest.mark.spec("#interaction-chaining")
async def test_the_body_of_the_call_is_there_when_it_goes_on(parties: Parties) -> None:
    response = await parties.agent.post(f"{parties.url['a']}/post", content=b"hello")
    assert response.json()["body"] == "hello"
    assert response.status_code == 201


@pytest.mark.spec("#interaction-chaining", "#polling-error-codes")
async def test_a_no_downstream_is_told_to_the_caller_as_such(parties: Parties) -> None:
    assert (await parties.agent.get(f"{parties.url['a']}/me")).status_code == 200
    parties.decide = parties.deny
    response = await parties.agent.get(f"{parties.url['a']}/me", params={"to": "c"})
    assert (response.status_code, response.json()["error"]) == (403, "denied")


@pytest.mark.spec("#interaction-chaining")
async def test_an_application_may_answer_a_no_itself(parties: Parties) -> None:
    assert (await parties.agent.get(f"{parties.url['a']}/me")).status_code == 200
    parties.decide = parties.deny
    response = await parties.agent.get(f"{parties.url['a']}/caught")
    assert response.json() == {"caught": "Denied"}


@pytest.mark.spec("#interaction-chaining")
async def test_an_endpoint_in_a_thread_calls_downstream_too(parties: Parties) -> None:
    response = await parties.agent.get(f"{parties.url['a']}/blocking")
    assert response.status_code == 200, response.text


@pytest.mark.spec("#aauth-capabilities", "#interaction-chaining")
async def test_a_caller_that_cannot_send_its_person_anywhere_is_told_so(parties: Parties) -> None:
    assert (await parties.agent.get(f"{parties.url['a']}/me")).status_code == 200
    parties.agent.context.capabilities = ()
    response = await parties.agent.get(f"{parties.url['a']}/me", params={"to": "c"})
    assert response.json()["error"] == "user_unreachable"


@pytest.mark.spec("#cancel-request", "#interaction-chaining")
async def test_a_caller_that_withdraws_withdraws_what_is_below(parties: Parties) -> None:
    assert (await parties.agent.get(f"{parties.url['a']}/me")).status_code == 200
    parties.decide = None
    call = asyncio.create_task(parties.agent.get(f"{parties.url['a']}/me", params={"to": "c"}))
    await parties.until(lambda: len(parties.directed) == 2)
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    invocations = parties.services["a"].invocations
    await parties.until(lambda: not len(invocations))
    assert [q.origin for q, _ in parties.carried if q.method == "DELETE"] == [parties.url["a"], parties.url["person"]]


@pytest.mark.spec("#cancel-request", "#interaction-chaining")
async def test_a_caller_that_hangs_up_before_it_learns_where_to_wait_leaves_nothing_waiting(
    parties: Parties, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await parties.agent.get(f"{parties.url['a']}/me")).status_code == 200
    invocations = parties.services["a"].invocations
    original, needed, gone = invocations.open, asyncio.Event(), asyncio.Event()

    async def late(*arguments: Any) -> Any:
        needed.set()
        await gone.wait()
        return await original(*arguments)

    monkeypatch.setattr(invocations, "open", late)
    call = asyncio.create_task(parties.agent.get(f"{parties.url['a']}/me", params={"to": "c"}))
    await needed.wait()
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    await asyncio.sleep(0.05)  # The closed connection is seen by the server.
    gone.set()
    await parties.until(lambda: any(q.method == "DELETE" for q, _ in parties.carried))
    await parties.until(lambda: not len(invocations))
    assert [q.origin for q, _ in parties.carried if q.method == "DELETE"] == [parties.url["person"]]


@pytest.mark.spec("#call-chaining")
async def test_services_that_call_each_other_in_a_circle_come_to_an_end(
    parties: Parties, monkeypatch: pytest.MonkeyPatch
) -> None:
    for service in parties.services.values():
        monkeypatch.setattr(service._slots, "_most", 3)
    response = await parties.agent.get(f"{parties.url['a']}/me", params={"to": ",".join(["b", "a"] * 8)})
    assert response.status_code != 200
    assert b"circle" in b"".join(r.body for _, r in parties.carried)


@pytest.mark.spec("#call-chaining", "#upstream-token-verification")
async def test_one_callers_tokens_are_never_used_for_another(parties: Parties) -> None:
    other = await parties.newcomer()
    one = await parties.agent.get(f"{parties.url['a']}/me", params={"to": "c"})
    two = await other.get(f"{parties.url['a']}/me", params={"to": "c"})
    assert one.status_code == two.status_code == 200
    uses = {
        upstream: [r.body for q, r in parties.carried if upstream.encode() in q.body]
        for upstream in parties.tokens("upstream_token")
    }
    assert len(uses) == 2


@pytest.mark.spec("#sub-agents", "#parent-mediated-authorization")
async def test_a_spawned_sub_agent_works_through_its_parent_over_http(parties: Parties) -> None:
    assert (await parties.agent.get(f"{parties.url['c']}/read")).status_code == 200
    seen = len(parties.directed)
    child = parties.agent.spawn("search1")
    for name in ("c", "guarded"):
        assert (await child.get(f"{parties.url[name]}/read")).status_code == 200
    assert parties.tokens("subagent_token")
    own = await child.agent_token()
    assert own.sub.endswith("@" + parties.url["agents"].partition("://")[2]) and "+search1@" in own.sub
    assert own.parent_agent == (await parties.agent.agent_token()).sub
    assert own.iss == (await parties.agent.agent_token()).iss
    asked = [q for q, _ in parties.carried if b'"subagent_token"' in q.body and q.origin == parties.url["person"]]
    keys = {parse((q.headers.get("signature-key") or "").split('"')[1]).payload["sub"] for q in asked}
    assert keys == {own.parent_agent}, "the sub-agent never speaks to the person server itself"
    assert len(parties.directed) <= seen + 2


@pytest.mark.spec("#single-level-depth")
async def test_a_sub_agent_spawns_nobody(parties: Parties) -> None:
    child = parties.agent.spawn("search1")
    with pytest.raises(Exception, match="one level deep"):
        await child.spawn("deeper").agent_token()
