"""What a chain must not let through: other people's tokens, other people's invocations, longer lives, lost missions."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from aauthlib import errors
from aauthlib.agent import AgentContext, ChallengeInvalid, OpenRequests
from aauthlib.agent.person_server import PersonServerClient
from aauthlib.demo.parties import loopback_client
from aauthlib.effects import Send
from aauthlib.http import Fields, Request, Response
from aauthlib.httpsig import JWT, sign
from aauthlib.resource import Grant
from aauthlib.tokens import AgentToken, PersonToken
from aauthlib.verification import Level

from .parties import Parties

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def sent(parties: Parties, request: Request) -> Response:
    response: Response = await parties.agent.wire.transport.send(Send(request))
    return response


async def pending_at_a(parties: Parties) -> str:
    """A call through A to C that waits for Ada, left open: its pending URL."""
    assert (await parties.agent.get(f"{parties.url['a']}/me")).status_code == 200
    parties.decide = None
    own = await parties.agent.person_token(parties.url["a"])
    request = Request("GET", f"{parties.url['a']}/me?to=c", Fields({"aauth-capabilities": "interaction"}))
    response = await sent(parties, signed(parties, request, own))
    assert response.status == 202
    return response.headers.get("location") or ""


def signed(parties: Parties, request: Request, token: PersonToken | AgentToken) -> Request:
    own = parties.agent.context.credentials.own
    assert own is not None
    assert own.key is not None
    return sign(request, own.key, JWT(token.raw), created=int(parties.clock()))


@pytest.mark.spec("#pending-url-security", "#interaction-chaining")
async def test_a_waiting_invocation_is_its_callers_alone(parties: Parties) -> None:
    location = await pending_at_a(parties)
    mallory = await parties.newcomer()
    own_agent_token = signed(parties, Request("GET", location), await parties.agent.agent_token())
    assert "person-token" in ((await sent(parties, own_agent_token)).headers.get("aauth-requirement") or "")
    parties.decide = parties.approve
    token = await mallory.person_token(parties.url["a"])
    assert token.sub == (await parties.agent.person_token(parties.url["a"])).sub, "the same person's other agent"
    for method in ("GET", "DELETE"):
        assert (await mallory.request(method, location)).status_code == 404
    own = await parties.agent.person_token(parties.url["a"])
    assert (await sent(parties, signed(parties, Request("GET", location), own))).status == 202


@pytest.mark.spec("#interaction-code-format", "#interaction-chaining")
async def test_the_code_is_single_use_and_guessing_ends_the_request(parties: Parties) -> None:
    location = await pending_at_a(parties)
    header = next(
        r.headers.get("aauth-requirement") or ""
        for q, r in reversed(parties.carried)
        if r.status == 202 and q.origin == parties.url["a"]
    )
    url, code = header.partition('url="')[2].partition('"')[0], header.partition('code="')[2].partition('"')[0]
    async with loopback_client() as browser:
        assert (await browser.get(f"{url}.nonsense.1")).status_code == 404
        assert "Type the code" in (await browser.get(url)).text
        assert (await browser.get(url, params={"code": "00000000"})).status_code == 403
        arrived = await browser.get(url, params={"code": code.lower()})
        assert arrived.status_code == 303
        assert arrived.headers["location"].startswith(parties.url["person"])
        assert (await browser.get(url, params={"code": code})).status_code == 403
        for _ in range(6):
            await browser.get(url, params={"code": "00000000"})
    own = await parties.agent.person_token(parties.url["a"])
    await sent(parties, signed(parties, Request("DELETE", location), own))


@pytest.mark.spec("#polling-with-get", "#interaction-chaining")
async def test_a_result_is_there_for_a_poll_that_comes_again(parties: Parties) -> None:
    location = await pending_at_a(parties)
    own = await parties.agent.person_token(parties.url["a"])
    header = next(r for q, r in reversed(parties.carried) if r.status == 202 and q.origin == parties.url["a"])
    text = header.headers.get("aauth-requirement") or ""
    url, code = text.partition('url="')[2].partition('"')[0], text.partition('code="')[2].partition('"')[0]
    await parties.visit(f"{url}?code={code}", "approve")
    poll = Request("GET", location, Fields({"prefer": "wait=10"}))
    for _ in range(20):
        first = await sent(parties, signed(parties, poll, own))
        if first.status != 202:
            break
    again = await sent(parties, signed(parties, Request("GET", location), own))
    assert (first.status, first.body) == (again.status, again.body)
    assert first.status == 200


@pytest.mark.spec("#revocation-response", "#call-chaining")
async def test_an_invocation_ends_with_the_token_it_was_asked_with(parties: Parties) -> None:
    location = await pending_at_a(parties)
    own = await parties.agent.person_token(parties.url["a"])
    store = parties.services["a"].store
    await store.revoke(own.iss, own.jti, own.exp, parties.clock(), most=10, most_of_all=1000)
    assert (await sent(parties, signed(parties, Request("GET", location), own))).status == 401
    parties.decide = parties.approve
    parties.agent.context.credentials.at(parties.url["a"]).forget_tokens()
    later = await parties.agent.person_token(parties.url["a"])
    ended = await sent(parties, signed(parties, Request("GET", location), later))
    assert (ended.status, ended.json()["error"]) == (403, "revoked")
    await parties.until(lambda: not len(parties.services["a"].invocations))


@pytest.mark.spec("#upstream-token-verification", "#call-chaining")
async def test_an_upstream_token_buys_nothing_at_another_intermediary_or_with_another_key(parties: Parties) -> None:
    own = await parties.agent.person_token(parties.url["a"])
    thief = parties.services["b"].downstream({"aauth": Grant(level=Level.PERSON, presented=own)})
    with pytest.raises(errors.InvalidUpstreamToken, match="another party"):
        await thief.person_token(parties.url["c"])
    response = await sent(parties, sign_with_b(parties, own))
    assert response.status == 401


def sign_with_b(parties: Parties, token: PersonToken) -> Request:
    key = parties.services["b"]._upstreams._agent.issued.holder
    assert key is not None
    return sign(Request("GET", f"{parties.url['a']}/me"), key, JWT(token.raw), created=int(parties.clock()))


@pytest.mark.spec("#call-chaining", "#person-token-not-authorization")
async def test_a_token_that_was_only_challenged_never_reaches_an_application_that_could_call_on(
    parties: Parties,
) -> None:
    own = await parties.agent.person_token(parties.url["a"])
    known = len(parties.services["a"]._upstreams)
    answer = await sent(parties, signed(parties, Request("GET", f"{parties.url['a']}/read?to=c"), own))
    assert answer.status == 401
    assert "resource-token" in (answer.headers.get("aauth-requirement") or "")
    assert not parties.tokens("upstream_token")
    assert len(parties.services["a"]._upstreams) == known
    nobody = parties.services["a"].downstream
    for grant in (Grant(level=Level.IDENTIFIED), Grant(level=Level.ANONYMOUS)):
        with pytest.raises(errors.AccessDenied):
            nobody({"aauth": grant})
    with pytest.raises(errors.ConfigurationError):
        nobody({})


@pytest.mark.spec("#call-chaining")
async def test_an_expired_upstream_token_is_not_even_shown(parties: Parties) -> None:
    own = await parties.agent.person_token(parties.url["a"])
    acting = parties.services["a"].downstream({"aauth": Grant(level=Level.PERSON, presented=own)})
    parties.clock.ahead_s = own.exp - parties.clock() + 1
    with pytest.raises(errors.ExpiredUpstreamToken):
        await acting.get(f"{parties.url['c']}/me")
    assert not parties.tokens("upstream_token")


@pytest.mark.spec("#call-chaining", "#missions")
async def test_a_token_that_lives_longer_or_left_its_mission_is_refused(parties: Parties) -> None:
    upstream = await parties.agent.person_token(parties.url["a"])
    acting = replace_upstream(parties.agent.context, upstream)
    client = PersonServerClient(acting, open_requests=OpenRequests())
    client._check_upstream(upstream, upstream.iss)
    for changed in (
        msgspec.structs.replace(upstream, exp=upstream.exp + 1),
        msgspec.structs.replace(upstream, mission_s256="another"),
    ):
        with pytest.raises(ChallengeInvalid):
            client._check_upstream(changed, upstream.iss)
    stripped = replace_upstream(acting, msgspec.structs.replace(upstream, mission_s256="m"))
    with pytest.raises(ChallengeInvalid, match="mission"):
        PersonServerClient(stripped, open_requests=OpenRequests())._check_upstream(upstream, upstream.iss)


def replace_upstream(context: AgentContext, upstream: PersonToken) -> AgentContext:
    return replace(context, upstream=upstream)


@pytest.mark.parametrize("bound", ["most_of_person_server", "most_in_all"])
@pytest.mark.spec("#interaction-chaining", "#pending-url-security")
async def test_what_waits_is_bounded_by_person_server_and_in_all_since_keys_and_persons_are_cheap(
    parties: Parties, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    location = await pending_at_a(parties)
    invocations = parties.services["a"].invocations
    monkeypatch.setattr(invocations, "policy", replace(invocations.policy, **{bound: 1}))
    other = await parties.newcomer()
    parties.decide = parties.approve
    token = await other.person_token(parties.url["a"])
    parties.decide = None
    held = other.context.credentials.own
    assert held is not None
    assert held.key is not None
    request = Request("GET", f"{parties.url['a']}/me?to=b", Fields({"aauth-capabilities": "interaction"}))
    refused = await sent(parties, sign(request, held.key, JWT(token.raw), created=int(parties.clock())))
    assert (refused.status, refused.json()["error"]) == (429, "rate_limited")
    own = await parties.agent.person_token(parties.url["a"])
    assert (await sent(parties, signed(parties, Request("DELETE", location), own))).status == 204
