"""The agent's world on paper: resources and a person server as plain functions, a clock that moves when told to.

Signatures are verified and tokens issued by the library itself, so that what the loop sends is what a server accepts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec
import pytest

from aauthlib.agent import AgentContext, Credentials, SelfIssued
from aauthlib.deferred.polling import PollPolicy
from aauthlib.discovery import StaticDirectory, TransportError
from aauthlib.effects import Answer, Direct, Effect, FindKey, FindMetadata, Flow, Report, Send, Sleep
from aauthlib.errors import AAuthError, SignatureError
from aauthlib.http import Fields, Request, Response, json_response
from aauthlib.httpsig import SignaturePolicy
from aauthlib.jws import parse, sign
from aauthlib.keys import JWKS, PublicKey, SigningKey
from aauthlib.messages.problems import error_response
from aauthlib.messages.requirement import Requirement
from aauthlib.tokens import (
    AgentToken,
    AuthToken,
    PersonToken,
    VerificationPolicy,
    issue_auth_token,
    issue_person_token,
    issue_resource_token,
)
from aauthlib.verification import Caller, Level, authenticate

T = TypeVar("T")

NOW = 1_800_000_000.0
AGENT = "https://agent.example"
PS = "https://ps.example"
RESOURCE = "https://api.example"
CALENDAR = f"{RESOURCE}/calendar"

Handler = Callable[[Request], Response]


class World:
    """Clock, network and directory; `drive` is the driver."""

    dev = False

    def __init__(self) -> None:
        self.now = NOW
        self.directory = StaticDirectory()
        self.servers: dict[str, Handler] = {}
        self.sent: list[Request] = []
        self.directed: list[Direct] = []
        self.questions: list[Answer] = []
        self.reports: list[Report] = []
        self.slept: list[float] = []
        self.answer: str | None = None
        self.interrupt_at: Callable[[Effect], bool] = lambda effect: False
        self.metadata: dict[str, dict[str, Any]] = {}
        self.keys: dict[str, JWKS] = {}

    def clock(self) -> float:
        return self.now

    def publish(self, issuer: str, *keys: SigningKey, **metadata: Any) -> None:
        self.metadata[issuer] = {"issuer": issuer, "jwks_uri": f"{issuer}/jwks.json", **metadata}
        self.keys[issuer] = JWKS.of(*keys)
        self.directory = StaticDirectory(metadata=self.metadata, keys=self.keys)

    def sent_to(self, origin: str) -> list[Request]:
        return [request for request in self.sent if request.origin == origin]

    def drive(self, flow: Flow[T]) -> T:
        answer: Any = None
        failure: AAuthError | None = None
        for _ in range(10_000):
            try:
                effect = flow.throw(failure) if failure is not None else flow.send(answer)
            except StopIteration as end:
                result: T = end.value
                return result
            answer, failure = None, None
            if self.interrupt_at(effect):
                flow.close()
                raise KeyboardInterrupt
            try:
                answer = self.perform(effect)
            except AAuthError as error:
                failure = error
        pytest.fail("The flow never ends.")

    def perform(self, effect: Effect) -> Any:
        match effect:
            case Send(request=request):
                self.sent.append(request)
                handler = self.servers.get(request.origin)
                if handler is None:
                    raise TransportError(f"{request.origin} could not be connected to.")
                return handler(request)
            case Sleep(seconds):
                self.slept.append(seconds)
                self.now += seconds
            case FindKey() | FindMetadata():
                return self.directory.cached(effect)
            case Direct():
                self.directed.append(effect)
            case Answer():
                self.questions.append(effect)
                return self.answer
            case Report():
                self.reports.append(effect)
        return None

    def caller(self, request: Request, **policy: Any) -> Caller:
        """Who signed `request`, by the library's own verification."""
        signature = SignaturePolicy(**{"schemes": ("jwt", "hwk"), **policy})
        tokens = VerificationPolicy(dev=self.dev)
        flow = authenticate(
            request,
            now=self.now,
            signature=signature,
            tokens=tokens,
            accepted=(AgentToken, PersonToken, AuthToken),
        )
        return self.drive(flow)


@dataclass
class Resource:
    """A resource that does what a test's `respond` says; the signature is verified first."""

    world: World
    issuer: str = RESOURCE
    key: SigningKey = field(default_factory=lambda: SigningKey.generate(kid="r1"))
    respond: Callable[[Request, Caller], Response] = lambda request, caller: ok()
    policy: dict[str, Any] = field(default_factory=dict)
    callers: list[Caller] = field(default_factory=list)
    tokens_issued: int = 0
    metadata: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.world.publish(self.issuer, self.key, **self.metadata)
        self.world.servers[self.issuer] = self.handle

    def handle(self, request: Request) -> Response:
        try:
            caller = self.world.caller(request, **self.policy)
        except SignatureError as error:
            return error_response(error)
        self.callers.append(caller)
        return self.respond(request, caller)

    @property
    def levels(self) -> list[Level]:
        return [caller.level for caller in self.callers]

    def resource_token(self, caller: Caller, scope: str | None = "calendar.read", **overrides: Any) -> str:
        presented = caller.presented
        assert presented is not None
        self.tokens_issued += 1
        lifetime_s = overrides.pop("lifetime_s", 300)
        text = issue_resource_token(
            overrides.pop("key", self.key),
            iss=overrides.pop("iss", self.issuer),
            presented=presented,
            jti=f"rt{self.tokens_issued}",
            now=overrides.pop("now", self.world.now),
            scope=None if scope is None else scope.split(),
            lifetime_s=lifetime_s,
            login_hint=overrides.pop("login_hint", None),
            access_server=overrides.pop("access_server", None),
        )
        return resigned(text, self.key, **overrides) if overrides else text

    def challenge(
        self, caller: Caller, scope: str | None = "calendar.read", *, status: int = 401, **claims: Any
    ) -> Response:
        token = self.resource_token(caller, scope, **claims)
        return requires("auth-token", status=status, resource_token=token)


@dataclass
class PersonServer:
    """A person server that says yes, at once or after `polls` polls, unless a test says otherwise."""

    world: World
    issuer: str = PS
    key: SigningKey = field(default_factory=lambda: SigningKey.generate(kid="p1"))
    polls: int = 0
    person_claims: dict[str, Any] = field(default_factory=dict)
    auth_claims: dict[str, Any] = field(default_factory=dict)
    lifetime_s: int = 3600
    refuse: Callable[[str, dict[str, Any]], Response | None] = lambda path, body: None
    bodies: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    callers: list[Caller] = field(default_factory=list)
    sub: str = "pairwise-1"
    issued: int = 0
    cancelled: int = 0
    pending: dict[str, list[Response]] = field(default_factory=dict)
    interaction: bool = False
    relay: Callable[[dict[str, Any]], Response] | None = None

    def __post_init__(self) -> None:
        self.world.publish(
            self.issuer,
            self.key,
            person_token_endpoint=f"{self.issuer}/person",
            auth_token_endpoint=f"{self.issuer}/token",
            **({"interaction_endpoint": f"{self.issuer}/interaction"} if self.interaction else {}),
        )
        self.world.servers[self.issuer] = self.handle

    def handle(self, request: Request) -> Response:
        try:
            caller = self.world.caller(request, schemes=("jwt",), cover_body=True)
        except SignatureError as error:
            return error_response(error)
        self.callers.append(caller)
        assert caller.agent_token is not None, "an agent presents its agent token to its person server"
        if request.method == "DELETE":
            self.cancelled += 1
            return Response(204)
        if request.path in self.pending:
            answers = self.pending[request.path]
            return answers.pop(0) if len(answers) > 1 else answers[0]
        body = msgspec.json.decode(request.body)
        self.bodies.append((request.path, body))
        refusal = self.refuse(request.path, body)
        if refusal is not None:
            return refusal
        if request.path == "/interaction":
            assert self.relay is not None
            return self.relay(body)
        answer = self.person_token(caller, body) if request.path == "/person" else self.auth_token(caller, body)
        return self.deferred(answer) if self.polls else answer

    def deferred(self, answer: Response) -> Response:
        """A `202` that asks for the person, then `answer` after `polls` polls."""
        path = f"/pending/{len(self.pending)}"
        waiting = requires(
            "interaction",
            status=202,
            headers=[("location", path), ("retry-after", "0"), ("cache-control", "no-store")],
            url=f"{self.issuer}/consent",
            code="A1B2-C3D4",
        )
        self.pending[path] = [waiting] * (self.polls - 1) + [answer]
        return waiting

    def _cnf(self, caller: Caller, body: Mapping[str, Any]) -> Any:
        assert caller.key is not None
        if "subagent_token" in body:
            claims = claims_of(body["subagent_token"])
            assert claims["parent_agent"] == caller.agent_token.sub  # type: ignore[union-attr]
            return PublicKey.from_jwk(claims["cnf"]["jwk"])
        return caller.key

    def person_token(self, caller: Caller, body: Mapping[str, Any]) -> Response:
        self.issued += 1
        text = issue_person_token(
            self.key,
            iss=self.issuer,
            aud=body["resource"],
            sub=self.sub,
            cnf=self._cnf(caller, body),
            jti=f"pt{self.issued}",
            now=self.world.now,
            not_after=self.world.now + self.lifetime_s,
            mission_s256=body.get("mission_s256"),
        )
        if self.person_claims:
            text = resigned(text, self.key, **self.person_claims)
        return json_response(200, {"person_token": text, "expires_in": self.lifetime_s})

    def auth_token(self, caller: Caller, body: Mapping[str, Any]) -> Response:
        resource_token, presented = claims_of(body["resource_token"]), claims_of(body["presented_token"])
        assert resource_token["presented_jti"] == presented["jti"]
        self.issued += 1
        text = issue_auth_token(
            self.key,
            iss=self.issuer,
            dwk="aauth-person.json",
            ps=self.issuer,
            aud=resource_token["iss"],
            sub=resource_token["sub"],
            cnf=self._cnf(caller, body),
            jti=f"at{self.issued}",
            now=self.world.now,
            not_after=self.world.now + self.lifetime_s,
            scope=resource_token["scope"].split() if "scope" in resource_token else None,
            mission_s256=resource_token.get("mission_s256"),
        )
        if self.auth_claims:
            text = resigned(text, self.key, **self.auth_claims)
        return json_response(200, {"auth_token": text, "expires_in": self.lifetime_s})


def claims_of(token: str) -> dict[str, Any]:
    return parse(token).payload


def resigned(token: str, key: SigningKey, **claims: Any) -> str:
    """The token with other claims (`None` removes one), signed again by `key`."""
    parsed = parse(token)
    payload = {name: value for name, value in {**parsed.payload, **claims}.items() if value is not None}
    return sign({name: value for name, value in parsed.header.items() if name != "alg"}, payload, key)


def ok(body: object = None, **headers: str) -> Response:
    return Response(200, Fields([(name.replace("_", "-"), value) for name, value in headers.items()]), b"events")


def requires(
    value: str, *, status: int = 401, headers: list[tuple[str, str]] | None = None, **parameters: Any
) -> Response:
    fields = [("aauth-requirement", Requirement(value, **parameters).serialize()), *(headers or [])]
    return json_response(status, {"status": "pending"}, headers=fields)


def problem(status: int, error: str, **headers: str) -> Response:
    return json_response(
        status,
        {"error": error},
        headers=[(name.replace("_", "-"), value) for name, value in headers.items()],
        content_type="application/problem+json",
    )


def make_agent(
    world: World, key: SigningKey, *, ps: str | None = PS, opening: Level = Level.IDENTIFIED, **options: Any
) -> AgentContext:
    source = SelfIssued(AGENT, "aauth:assistant@agent.example", key, world.clock, ps=ps)
    return AgentContext(
        source,
        clock=world.clock,
        credentials=Credentials(opening=opening),
        **{"poll": PollPolicy(deadline_s=600.0), **options},
    )
