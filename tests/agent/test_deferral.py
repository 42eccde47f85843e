"""Waiting for people: at the person server, at a resource, through a relay, with a held request."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from aauthlib.agent import AgentContext, AgentTokenSource, Credential, OpenRequests, exchange
from aauthlib.agent.withdrawal import withdraw_all
from aauthlib.deferred.polling import UnsupportedRequirement
from aauthlib.discovery import TransportError
from aauthlib.effects import Flow, Sleep
from aauthlib.errors import Denied, UserUnreachable
from aauthlib.http import Request, Response, json_response
from aauthlib.keys import SigningKey
from aauthlib.verification import Caller, Level
from tests.agent.world import PS, RESOURCE, PersonServer, Resource, World, make_agent, ok, problem, requires

Fetch = Callable[..., Response]
WAITING = [("location", "/pending/1"), ("retry-after", "0"), ("cache-control", "no-store")]


def needs_person(request: Request, caller: Caller) -> Response:
    return ok() if caller.level >= Level.PERSON else requires("person-token")


class Pending:
    """A resource's pending request: `first` until `polls` polls were made, then `last`."""

    def __init__(self, first: Response, last: Response, polls: int = 2) -> None:
        self.first, self.last, self.polls = first, last, polls
        self.seen: list[Request] = []
        self.withdrawn = 0

    def __call__(self, request: Request, caller: Caller) -> Response:
        if request.method == "DELETE":
            self.withdrawn += 1
            return Response(204)
        if not request.path.startswith("/pending"):
            return self.first
        self.seen.append(request)
        return self.last if len(self.seen) >= self.polls else self.first


def interaction(**parameters: str) -> Response:
    return requires(
        "interaction",
        status=202,
        headers=WAITING,
        **{"url": f"{RESOURCE}/interact", "code": "A1B2-C3D4", **parameters},
    )


# --------------------------------------------------------------------------- at the person server


@pytest.mark.spec("#person-token-endpoint", "#interaction-required")
def test_the_person_is_sent_to_the_person_server_once_and_the_answer_is_waited_for(
    world: World, resource: Resource, ps: PersonServer, fetch: Fetch
) -> None:
    resource.respond = needs_person
    ps.polls = 3
    assert fetch().status == 200
    (direct,) = world.directed
    assert direct.person_url == "https://ps.example/consent?code=A1B2-C3D4"
    assert direct.server == PS
    polls = [request for request in world.sent_to(PS) if request.path.startswith("/pending")]
    assert len(polls) == 3
    assert all(request.headers.get("prefer") == "wait=45" for request in polls)


@pytest.mark.spec("#polling-error-codes")
def test_a_person_who_says_no_ends_the_exchange(resource: Resource, ps: PersonServer, fetch: Fetch) -> None:
    resource.respond = needs_person
    ps.polls = 1
    ps.refuse = lambda path, body: ps.deferred(problem(403, "denied"))
    with pytest.raises(Denied):
        fetch()


@pytest.mark.spec("#user-interaction")
def test_an_agent_without_a_way_to_its_person_says_so_and_withdraws(
    world: World, resource: Resource, ps: PersonServer, agent_key: SigningKey, agent: AgentContext, fetch: Fetch
) -> None:
    resource.respond = needs_person
    ps.polls = 1
    with pytest.raises(UnsupportedRequirement, match="on_interaction hook"):
        fetch(by=make_agent(world, agent_key, capabilities=()))
    assert ps.cancelled == 1
    # Said, since without it the mission's would hold (#person-token-request).
    assert ps.bodies[0][1]["capabilities"] == []


@pytest.mark.spec("#agent-response-to-clarification")
def test_a_question_of_the_person_is_answered(world: World, resource: Resource, ps: PersonServer, fetch: Fetch) -> None:
    resource.respond = needs_person
    ps.polls = 1
    answered: list[dict[str, object]] = []
    honest = ps.handle
    question = json_response(
        202,
        {"status": "pending", "clarification": "Why **all** calendars?"},
        headers=[("aauth-requirement", "requirement=clarification"), ("location", "/pending/0"), ("retry-after", "0")],
    )

    def handle(request: Request) -> Response:
        if request.path == "/person" and not answered:
            honest(request)
            return question
        if request.method == "POST" and request.path == "/pending/0":
            world.caller(request, cover_body=True)
            answered.append(msgspec.json.decode(request.body))
            return Response(204)
        return honest(request)

    world.servers[PS] = handle
    world.answer = "Only the work one."
    assert fetch().status == 200
    assert world.questions[0].question == "Why **all** calendars?"
    assert answered == [{"action": "clarification_response", "clarification_response": "Only the work one."}]


@pytest.mark.spec("#cancel-request")
def test_a_question_nobody_answers_withdraws_the_request(
    world: World, resource: Resource, ps: PersonServer, fetch: Fetch
) -> None:
    resource.respond = needs_person
    question = json_response(
        202,
        {"status": "pending", "clarification": "Why?"},
        headers=[("aauth-requirement", "requirement=clarification"), ("location", "/pending/0")],
    )
    ps.refuse = lambda path, body: question
    with pytest.raises(UnsupportedRequirement, match="no answer was given"):
        fetch()
    assert ps.cancelled == 1


@pytest.mark.spec("#deferred-responses")
def test_a_lost_connection_while_waiting_is_no_lost_decision(
    world: World, resource: Resource, ps: PersonServer, fetch: Fetch
) -> None:
    resource.respond = needs_person
    ps.polls = 2
    honest, lost = ps.handle, [1, 2]

    def handle(request: Request) -> Response:
        if request.path.startswith("/pending") and lost:
            lost.pop()
            raise TransportError("the connection was lost")
        return honest(request)

    world.servers[PS] = handle
    assert fetch().status == 200
    lost.extend([1] * 10)
    world.now += 3500
    with pytest.raises(TransportError):
        fetch()


# --------------------------------------------------------------------------- at a resource


@pytest.mark.spec("#resource-managed-auth", "#aauth-access")
def test_an_interaction_at_a_resource_ends_in_a_session(
    world: World, resource: Resource, agent_key: SigningKey, agent: AgentContext, fetch: Fetch
) -> None:
    alone = make_agent(world, agent_key, ps=None)
    resource.respond = pending = Pending(interaction(), ok(aauth_access="session-1"))
    assert fetch(by=alone).status == 200
    assert [direct.person_url for direct in world.directed] == ["https://api.example/interact?code=A1B2-C3D4"]
    assert [request.method for request in pending.seen] == ["GET", "GET"]
    fetch(by=alone)
    assert pending.seen[0].headers.get("authorization") is None
    assert world.sent[-1].headers.get("authorization") == "AAuth session-1"


@pytest.mark.spec("#resource-managed-auth", "#aauth-access")
def test_a_wait_that_ends_in_a_session_instead_of_an_answer_is_followed_by_the_request(
    world: World, resource: Resource, agent_key: SigningKey, agent: AgentContext, fetch: Fetch
) -> None:
    granted = json_response(200, {"status": "authorized"}, headers=[("aauth-access", "session-1")])
    pending = Pending(interaction(), granted)
    resource.respond = lambda request, caller: ok() if "authorization" in request.headers else pending(request, caller)
    response = fetch(by=make_agent(world, agent_key, ps=None), method="POST", body=b"{}")
    assert (response.status, response.body) == (200, b"events")
    assert [(request.method, request.body) for request in world.sent][-1] == ("POST", b"{}")


@pytest.mark.spec("#approval-pending")
def test_an_approval_is_waited_for_without_bothering_anybody(world: World, resource: Resource, fetch: Fetch) -> None:
    waiting = requires("approval", status=202, headers=[("location", "/pending/1"), ("retry-after", "30")])
    resource.respond = Pending(waiting, ok())
    assert fetch().status == 200
    assert world.directed == []
    assert [pause for pause in world.slept if pause == 30.0] == [30.0, 30.0]


@pytest.mark.spec("#polling-error-codes")
def test_a_denial_at_a_resource_is_returned(resource: Resource, fetch: Fetch) -> None:
    resource.respond = Pending(interaction(), problem(403, "denied"))
    assert fetch().status == 403


@pytest.mark.spec("#deferred-responses")
def test_a_pending_response_without_a_requirement_is_polled(resource: Resource, fetch: Fetch) -> None:
    resource.respond = Pending(json_response(202, {"status": "pending"}, headers=WAITING), ok())
    assert fetch().status == 200


@pytest.mark.spec("#covered-components")
def test_a_poll_learns_what_a_server_wants_covered_too(world: World, resource: Resource, fetch: Fetch) -> None:
    pending = Pending(interaction(), ok())

    def respond(request: Request, caller: Caller) -> Response:
        if request.path.startswith("/pending"):
            resource.policy = {"components": ("@query",)}
        return pending(request, caller)

    resource.respond = respond
    assert fetch().status == 200


# --------------------------------------------------------------------------- relaying


@pytest.mark.spec("#interaction-relay")
def test_the_person_server_is_asked_first_to_reach_the_person(world: World, resource: Resource, fetch: Fetch) -> None:
    ps = PersonServer(world, interaction=True)
    ps.pending["/relay/1"] = [json_response(202, {"status": "interacting"}, headers=[("retry-after", "1")])]
    ps.relay = lambda body: json_response(
        202, {"status": "pending"}, headers=[("location", "/relay/1"), ("retry-after", "1")]
    )
    resource.respond = Pending(interaction(), ok(), polls=4)
    assert fetch().status == 200
    assert ps.bodies == [
        (
            "/interaction",
            {
                "type": "interaction",
                "url": f"{RESOURCE}/interact",
                "code": "A1B2-C3D4",
                "max_wait": 30,
                "capabilities": ["interaction"],
            },
        )
    ]
    assert world.directed == []
    assert any(request.path == "/relay/1" for request in world.sent_to(PS))


@pytest.mark.spec("#interaction-relay", "#interaction-endpoint-errors")
@pytest.mark.parametrize("status", [424, 400, 403, 404, 500, 503])
def test_a_person_server_that_cannot_relay_leaves_it_to_the_agent(
    world: World, resource: Resource, fetch: Fetch, status: int
) -> None:
    ps = PersonServer(world, interaction=True)
    ps.relay = lambda body: problem(status, "interaction_unavailable")
    resource.respond = Pending(interaction(), ok())
    assert fetch().status == 200
    assert len(world.directed) == 1


@pytest.mark.spec("#interaction-relay")
def test_a_relay_that_gives_up_leaves_it_to_the_agent(world: World, resource: Resource, fetch: Fetch) -> None:
    ps = PersonServer(world, interaction=True)
    ps.pending["/relay/1"] = [problem(403, "user_unreachable")]
    ps.relay = lambda body: json_response(
        202, {"status": "pending"}, headers=[("location", "/relay/1"), ("retry-after", "1")]
    )
    resource.respond = Pending(interaction(), ok(), polls=6)
    assert fetch().status == 200
    assert len(world.directed) == 1


RELAYED = json_response(202, {"status": "pending"}, headers=[("location", "/relay/1"), ("retry-after", "0")])
LOOKING = json_response(202, {"status": "interacting"}, headers=[("location", "/relay/1"), ("retry-after", "0")])


def waits_asked(world: World) -> list[str | None]:
    """For how long the resource was asked to hold each poll."""
    polls = [request for request in world.sent_to(RESOURCE) if request.path.startswith("/pending")]
    return [request.headers.get("prefer") for request in polls]


@pytest.mark.spec("#interaction-response-poll-authority", "#polling-with-get")
def test_the_resource_is_not_asked_to_hold_its_answer_while_the_agent_may_have_to_send_the_person(
    world: World, resource: Resource, fetch: Fetch
) -> None:
    ps = PersonServer(world, interaction=True)
    ps.pending["/relay/1"] = [RELAYED, LOOKING]
    ps.relay = lambda body: RELAYED
    resource.respond = Pending(interaction(), ok(), polls=5)
    assert fetch().status == 200
    asked = waits_asked(world)
    assert (asked[0], asked[-1]) == ("wait=5", "wait=45")  # until the person looks


@pytest.mark.spec("#interaction-response-poll-authority")
@pytest.mark.parametrize(
    ("ended", "sent_by_the_agent"),
    [
        (json_response(200, {"engaged": True}), False),
        (problem(403, "denied"), False),
        (problem(403, "abandoned"), False),
        (problem(408, "expired"), True),
        (problem(410, "invalid_code"), True),
        (problem(500, "server_error"), True),
    ],
)
def test_a_person_who_was_reached_is_not_sent_again_and_the_resource_says_what_comes_of_it(
    world: World, resource: Resource, fetch: Fetch, ended: Response, sent_by_the_agent: bool
) -> None:
    ps = PersonServer(world, interaction=True)
    ps.pending["/relay/1"] = [RELAYED, ended]
    ps.relay = lambda body: RELAYED
    resource.respond = Pending(interaction(), ok(), polls=6)
    assert fetch().status == 200
    assert len(world.directed) == sent_by_the_agent
    assert ps.cancelled == 0


@pytest.mark.spec("#cancel-request", "#interaction-response-poll-authority")
def test_a_relay_that_is_not_needed_any_more_is_withdrawn(world: World, resource: Resource, fetch: Fetch) -> None:
    ps = PersonServer(world, interaction=True)
    ps.pending["/relay/1"] = [RELAYED]
    ps.relay = lambda body: RELAYED
    resource.respond = Pending(interaction(), ok(), polls=2)
    assert fetch().status == 200
    assert ps.cancelled == 1


@pytest.mark.spec("#interaction-relay", "#token-endpoint-error-codes")
def test_where_neither_side_reaches_the_person_the_exchange_ends_with_that(
    world: World, resource: Resource, agent: AgentContext, fetch: Fetch
) -> None:
    ps = PersonServer(world, interaction=True)
    ps.relay = lambda body: problem(403, "user_unreachable")
    resource.respond = Pending(interaction(), ok())
    agent.capabilities = ()
    with pytest.raises(UserUnreachable):
        fetch()
    assert "max_wait" not in ps.bodies[0][1]
    assert world.directed == []


@pytest.mark.spec("#interaction-response-poll-authority")
def test_a_relay_on_another_origin_is_not_polled(world: World, resource: Resource, fetch: Fetch) -> None:
    ps = PersonServer(world, interaction=True)
    ps.relay = lambda body: json_response(202, {"status": "pending"}, headers=[("location", "https://evil.example/r")])
    resource.respond = Pending(interaction(), ok(), polls=4)
    assert fetch().status == 200
    assert world.sent_to("https://evil.example") == []


@pytest.mark.spec("#interaction-relay")
def test_a_person_server_that_cannot_be_reached_leaves_it_to_the_agent(
    world: World, resource: Resource, fetch: Fetch
) -> None:
    PersonServer(world, interaction=True)
    del world.servers[PS]
    resource.respond = Pending(interaction(), ok())
    assert fetch().status == 200
    assert len(world.directed) == 1


# --------------------------------------------------------------------------- the held invocation


class Held:
    """A resource that holds the request while the agent gets its auth token."""

    def __init__(self, resource: Resource, *, fresh_every_poll: bool = False) -> None:
        self.resource, self.fresh = resource, fresh_every_poll
        self.executed = 0
        self.header: str | None = None

    def __call__(self, request: Request, caller: Caller) -> Response:
        if request.method == "DELETE":
            return Response(204)
        if request.path == "/pending/1":
            assert request.body == b""
            if caller.auth_token is not None:
                self.executed += 1
                return ok()
        elif caller.presented is None:
            return requires("person-token")
        if self.header is None or self.fresh:
            self.header = self.resource.challenge(caller, status=202).headers.get("aauth-requirement")
        return json_response(202, {"status": "pending"}, headers=[("aauth-requirement", self.header or ""), *WAITING])


@pytest.mark.spec("#deferred-auth-token")
def test_a_held_request_is_completed_at_its_pending_url_with_the_auth_token(
    world: World, resource: Resource, ps: PersonServer, fetch: Fetch
) -> None:
    resource.respond = held = Held(resource)
    assert fetch(method="POST", body=b"{}", headers={"content-type": "application/json"}).status == 200
    assert held.executed == 1
    assert [(request.method, request.path) for request in world.sent_to(RESOURCE)] == [
        ("POST", "/calendar"),
        ("POST", "/calendar"),
        ("GET", "/pending/1"),
    ]
    assert resource.levels == [Level.IDENTIFIED, Level.PERSON, Level.AUTHORIZED]


@pytest.mark.spec("#deferred-auth-token")
def test_the_person_is_asked_while_the_request_is_held_and_a_withdrawal_reaches_both(
    world: World, resource: Resource, ps: PersonServer, agent: AgentContext, fetch: Fetch
) -> None:
    resource.respond = Held(resource)
    ps.polls = 3
    ps.refuse = lambda path, body: ps.person_token(ps.callers[-1], body) if path == "/person" else None
    opened = OpenRequests()
    world.interrupt_at = lambda effect: isinstance(effect, Sleep) and bool(world.directed)
    with pytest.raises(KeyboardInterrupt):
        fetch(open_requests=opened)
    world.interrupt_at = lambda effect: False
    assert world.drive(withdraw_all(agent, opened)) == 2
    deleted = [(request.origin, request.path) for request in world.sent if request.method == "DELETE"]
    assert sorted(deleted) == [(RESOURCE, "/pending/1"), (PS, "/pending/0")]


@pytest.mark.spec("#deferred-auth-token")
def test_a_fresh_resource_token_in_a_later_poll_is_redeemed(
    world: World, resource: Resource, ps: PersonServer, fetch: Fetch
) -> None:
    resource.respond = held = Held(resource, fresh_every_poll=True)
    honest = resource.respond

    def respond(request: Request, caller: Caller) -> Response:
        if request.path == "/pending/1" and resource.tokens_issued < 3:
            token = resource.challenge(caller, status=202).headers.get("aauth-requirement") or ""
            return json_response(202, {"status": "pending"}, headers=[("aauth-requirement", token), *WAITING])
        return honest(request, caller)

    resource.respond = respond
    assert fetch().status == 200
    assert held.executed == 1
    assert [path for path, _ in ps.bodies] == ["/person", "/token", "/token", "/token"]


@pytest.mark.spec("#cancel-request")
def test_a_denial_withdraws_the_held_request(world: World, resource: Resource, ps: PersonServer, fetch: Fetch) -> None:
    resource.respond = Held(resource)
    ps.refuse = lambda path, body: problem(403, "denied") if path == "/token" else None
    with pytest.raises(Denied):
        fetch()
    assert world.sent[-1].method == "DELETE" and world.sent[-1].origin == RESOURCE


def together(world: World, flows: list[Flow[Response]]) -> None:
    """Run flows side by side, one effect of each in turn; all of them must end in a `200`."""
    answers: list[object] = [None] * len(flows)
    running = set(range(len(flows)))
    while running:
        for index in sorted(running):
            try:
                answers[index] = world.perform(flows[index].send(answers[index]))
            except StopIteration as end:
                assert end.value.status == 200
                running.discard(index)


def test_requests_that_meet_a_challenge_at_once_ask_the_person_once(
    world: World, resource: Resource, ps: PersonServer, agent: AgentContext
) -> None:
    resource.respond = needs_person
    together(world, [exchange(agent, Request("GET", f"{RESOURCE}/{n}")) for n in range(5)])
    assert [path for path, _ in ps.bodies] == ["/person"]


@pytest.mark.spec("#interaction-required")
def test_an_interaction_page_named_like_a_requirement_is_still_an_interaction(
    world: World, resource: Resource, fetch: Fetch
) -> None:
    resource.respond = Pending(interaction(url=f"{RESOURCE}/auth-token"), ok(), polls=1)
    assert fetch().status == 200
    assert [direct.url for direct in world.directed] == [f"{RESOURCE}/auth-token"]


@pytest.mark.spec("#re-authorization", "#deferred-responses")
def test_a_key_that_changes_while_the_person_decides_costs_one_more_round_and_no_wrong_signature(
    world: World, resource: Resource, ps: PersonServer, agent: AgentContext, fetch: Fetch
) -> None:
    """Another exchange refreshes the agent token under a new key while this one waits."""
    fetch(f"{RESOURCE}/public")
    resource.respond = needs_person
    ps.polls = 1
    honest = ps.handle

    def handle(request: Request) -> Response:
        if request.path == "/pending/0":
            agent.source.key = SigningKey.generate(kid="a2")  # type: ignore[attr-defined]
            world.publish("https://agent.example", agent.source.key, agent_key)  # type: ignore[attr-defined]
            ps.polls = 0
            agent.credentials.adopt(world.drive(agent.source.obtain()))
        return honest(request)

    agent_key = agent.source.key  # type: ignore[attr-defined]
    world.servers[PS] = handle
    assert fetch().status == 200
    assert resource.callers[-1].key != agent_key.public


@pytest.mark.spec("#deferred-auth-token")
def test_a_resource_token_that_is_repeated_in_a_poll_is_redeemed_once(
    world: World, resource: Resource, ps: PersonServer, fetch: Fetch
) -> None:
    resource.respond = held = Held(resource)
    late = [1, 2, 3]

    def respond(request: Request, caller: Caller) -> Response:
        if caller.auth_token is not None and late:
            late.pop()
            return json_response(
                202, {"status": "pending"}, headers=[("aauth-requirement", held.header or ""), *WAITING]
            )
        return held(request, caller)

    resource.respond = respond
    assert fetch().status == 200
    assert [path for path, _ in ps.bodies] == ["/person", "/token"]


@pytest.mark.spec("#re-authorization", "#deferred-auth-token")
def test_an_auth_token_for_a_key_the_agent_no_longer_has_is_not_presented(
    world: World, resource: Resource, ps: PersonServer, agent: AgentContext, fetch: Fetch
) -> None:
    old = agent.source.key  # type: ignore[attr-defined]
    resource.respond = lambda request, caller: (
        ok() if caller.auth_token else resource.challenge(caller) if caller.presented else requires("person-token")
    )
    honest = ps.handle

    def handle(request: Request) -> Response:
        answer = honest(request)
        if request.path == "/token" and agent.source.key is old:  # type: ignore[attr-defined]
            agent.source.key = SigningKey.generate(kid="a2")  # type: ignore[attr-defined]
            world.publish("https://agent.example", agent.source.key, old)  # type: ignore[attr-defined]
            agent.credentials.adopt(world.drive(agent.source.obtain()))
        return answer

    world.servers[PS] = handle
    assert fetch().status == 200
    assert resource.callers[-1].key == agent.source.key.public  # type: ignore[attr-defined]


class SlowSource:
    """A source that takes its time, and counts."""

    dates_tokens = False

    def __init__(self, inner: AgentTokenSource) -> None:
        self.inner, self.count = inner, 0

    def obtain(self, *, clock_offset_s: float = 0.0) -> Flow[Credential]:
        self.count += 1
        yield Sleep(1.0)
        return (yield from self.inner.obtain())

    def spawn(self, parent: Credential, discriminator: str, key: SigningKey) -> Flow[Credential]:
        return self.inner.spawn(parent, discriminator, key)


def test_requests_at_once_refresh_the_agent_token_once(world: World, resource: Resource, agent: AgentContext) -> None:
    agent.source = source = SlowSource(agent.source)
    together(world, [exchange(agent, Request("GET", f"{RESOURCE}/{n}")) for n in range(5)])
    assert source.count == 1
