"""`Agent` and `AsyncAgent`: HTTP clients that prove who they are and meet what resources require.

Thin shells: the exchange is the flow in `loop`, carried out by a wire from `transport`; what is for people goes to the
application's hooks. When the application stops waiting (Ctrl-C, cancellation, an error), pending requests are
withdrawn at their servers (#cancel-request).
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar, Unpack

import anyio
import httpx2

from ..deferred.polling import PollPolicy
from ..effects import Answer, Clock, Direct, Effect, Flow, Report
from ..errors import ConfigurationError
from ..http import Request
from ..tokens import AgentToken, AuthToken, PersonToken, VerificationPolicy
from ..transport import AsyncWire, Wire
from ..verification import Level
from .authorization import authorize
from .bridging import build_request, to_httpx
from .chain import agent_credential
from .context import OPENINGS, AgentContext, AgentTokenSource, GrantPreferences, OpenRequests
from .credentials import Credentials
from .identity import load_identity, source_of
from .interaction import ClarificationHook, InteractionHook, OpenBrowser, ReportHook
from .keystore import Keystore
from .loop import Exchange, exchange
from .options import AgentOptions, Opening, RequestOptions
from .subagents import sub_agent
from .withdrawal import withdraw_all

__all__ = ["Agent", "AsyncAgent"]

_T = TypeVar("_T")
_OPEN_BROWSER = OpenBrowser()
_WITHDRAW_S = 5.0


class _Shell:
    """What both agents are set up with."""

    def __init__(
        self,
        source: AgentTokenSource,
        *,
        clock: Clock = time.time,
        dev: bool = False,
        on_interaction: InteractionHook | None = _OPEN_BROWSER,
        on_clarification: ClarificationHook | None = None,
        on_report: ReportHook | None = None,
        preferences: GrantPreferences | None = None,
        opening: Opening = "agent-token",
        poll: PollPolicy | None = None,
        timeout_s: float = 30.0,
        max_body_bytes: int = 67_108_864,
        context: AgentContext | None = None,
    ) -> None:
        capabilities = tuple(
            name
            for name, hook in (("interaction", on_interaction), ("clarification", on_clarification))
            if hook is not None
        )
        self.context = context or AgentContext(
            source,
            clock=clock,
            credentials=Credentials(opening=OPENINGS[opening]),
            verification=VerificationPolicy(dev=dev, iat_window_s=None),
            preferences=preferences if preferences is not None else GrantPreferences(),
            capabilities=capabilities,
            poll=poll if poll is not None else PollPolicy(),
            request_timeout_s=timeout_s,
            max_body_bytes=max_body_bytes,
        )
        self.on_interaction, self.on_clarification, self.on_report = on_interaction, on_clarification, on_report

    def preferences(self, justification: str | None) -> GrantPreferences:
        """What goes to the person server, with this request's own justification."""
        known = self.context.preferences
        return known if justification is None else replace(known, justification=justification)

    def hook_for(self, effect: Effect) -> Callable[[Any], object] | None:
        """The application's hook for an effect that is for people."""
        match effect:
            case Direct():
                return self.on_interaction
            case Answer():
                return self.on_clarification
            case Report():
                return self.on_report
        return None

    def identity_flow(self, resource: str, preferences: GrantPreferences, opened: OpenRequests) -> Flow[PersonToken]:
        talk = Exchange(
            self.context,
            Request("GET", resource),
            preferences=preferences,
            open_requests=opened,
            ceiling=Level.PERSON,
            floor=Level.PERSON,
        )
        credential = yield from talk.credential()
        if not isinstance(credential.token, PersonToken):
            raise ConfigurationError("The person server gave another token than a person token.")
        return credential.token

    def token_flow(self) -> Flow[AgentToken]:
        credential = yield from agent_credential(self.context)
        if not isinstance(credential.token, AgentToken):
            raise ConfigurationError("This agent's source gives something that is no agent token.")
        return credential.token


class Agent(_Shell):
    """An agent as a blocking HTTP client. Safe to share between threads.

    `source` is where its agent tokens come from (`SelfIssued`, `Enrolled`); `Agent.load` makes one. `wire` is what it
    talks through, its own unless given. The options are described in `AgentOptions`.

        with Agent.load() as agent:
            agent.get("https://api.example/calendar")

    Methods return `httpx2.Response`; redirects are returned, not followed. They raise what `exchange` raises.
    """

    def __init__(self, source: AgentTokenSource, *, wire: Wire | None = None, **options: Unpack[AgentOptions]) -> None:
        super().__init__(source, **options)
        self.wire = wire if wire is not None else Wire.open(dev=self.context.dev, clock=self.context.clock)
        self._owns_wire = wire is None

    @classmethod
    def load(
        cls,
        name: str | None = None,
        *,
        home: Path | None = None,
        keystore: Keystore | None = None,
        wire: Wire | None = None,
        **options: Unpack[AgentOptions],
    ) -> Agent:
        """The agent whose identity `aauth init` made; `options` as for `Agent`. Raises `ConfigurationError`."""
        identity, key = load_identity(name, home=home, keystore=keystore)
        if "dev" not in options:
            options["dev"] = identity.dev
        return cls(source_of(identity, key, clock=options.get("clock", time.time)), wire=wire, **options)

    # ------------------------------------------------------------------ HTTP

    def request(
        self, method: str, url: str, *, justification: str | None = None, **options: Unpack[RequestOptions]
    ) -> httpx2.Response:
        """Send a request and see it through; `options` are those of `httpx2.Request`.

        `justification` (Markdown) is shown to the person as this agent's reason, if one is asked for.
        """
        request = build_request(method, url, **options)
        wishes = self.preferences(justification)
        response = self.run(lambda opened: exchange(self.context, request, preferences=wishes, open_requests=opened))
        return to_httpx(response, request)

    def get(self, url: str, **options: Unpack[RequestOptions]) -> httpx2.Response:
        """`GET`; as `request`."""
        return self.request("GET", url, **options)

    def head(self, url: str, **options: Unpack[RequestOptions]) -> httpx2.Response:
        """`HEAD`; as `request`."""
        return self.request("HEAD", url, **options)

    def post(self, url: str, **options: Unpack[RequestOptions]) -> httpx2.Response:
        """`POST`; as `request`."""
        return self.request("POST", url, **options)

    def put(self, url: str, **options: Unpack[RequestOptions]) -> httpx2.Response:
        """`PUT`; as `request`."""
        return self.request("PUT", url, **options)

    def patch(self, url: str, **options: Unpack[RequestOptions]) -> httpx2.Response:
        """`PATCH`; as `request`."""
        return self.request("PATCH", url, **options)

    def delete(self, url: str, **options: Unpack[RequestOptions]) -> httpx2.Response:
        """`DELETE`; as `request`."""
        return self.request("DELETE", url, **options)

    # ------------------------------------------------------------------ tokens

    def agent_token(self) -> AgentToken:
        """This agent's token, fresh."""
        return self.run(lambda opened: self.token_flow())

    def person_token(self, resource: str, *, justification: str | None = None) -> PersonToken:
        """A person token for `resource`, from the cache or the person server (#person-token-endpoint)."""
        return self.run(lambda opened: self.identity_flow(resource, self.preferences(justification), opened))

    def authorize(
        self, resource: str, scope: str, *, account: str | None = None, justification: str | None = None
    ) -> AuthToken | None:
        """Get access before calling, through the resource's authorization endpoint (#authorization-endpoint-request).

        Returns the auth token, or `None` when the resource manages authorization itself; either way it is kept.
        """
        wishes = self.preferences(justification)
        return self.run(
            lambda opened: authorize(
                self.context, resource, scope, account=account, preferences=wishes, open_requests=opened
            )
        )

    def spawn(self, discriminator: str) -> Agent:
        """A sub-agent with a key of its own, for whom this agent speaks to the person server (#sub-agents)."""
        child = sub_agent(self.context, discriminator)
        return Agent(
            child.source,
            wire=self.wire,
            context=child,
            on_interaction=self.on_interaction,
            on_clarification=self.on_clarification,
            on_report=self.on_report,
        )

    # ------------------------------------------------------------------ running

    def run(self, flow_of: Callable[[OpenRequests], Flow[_T]]) -> _T:
        """Carry out a flow of this agent's; what it leaves pending when it ends early is withdrawn."""
        opened = OpenRequests()
        try:
            return self.wire.run(flow_of(opened), handle=self.handle)
        except BaseException:
            self.withdraw(opened)
            raise

    def handle(self, effect: Effect) -> Any:
        """Give an effect that is for people to the application's hook."""
        hook = self.hook_for(effect)
        return hook(effect) if hook is not None else None

    def withdraw(self, opened: OpenRequests) -> None:
        """Withdraw what is pending; a server that cannot be told learns it from its own timeout."""
        self.wire.run(withdraw_all(self.context, opened), handle=self.handle)

    def close(self) -> None:
        """Close the connections, if they are this agent's own."""
        if self._owns_wire:
            self.wire.close()

    def __enter__(self) -> Agent:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncAgent(_Shell):
    """As `Agent`, on an event loop; hooks may return awaitables. Belongs to the loop that first uses it."""

    def __init__(
        self, source: AgentTokenSource, *, wire: AsyncWire | None = None, **options: Unpack[AgentOptions]
    ) -> None:
        super().__init__(source, **options)
        self.wire = wire if wire is not None else AsyncWire.open(dev=self.context.dev, clock=self.context.clock)
        self._owns_wire = wire is None

    @classmethod
    def load(
        cls,
        name: str | None = None,
        *,
        home: Path | None = None,
        keystore: Keystore | None = None,
        wire: AsyncWire | None = None,
        **options: Unpack[AgentOptions],
    ) -> AsyncAgent:
        """As `Agent.load`."""
        identity, key = load_identity(name, home=home, keystore=keystore)
        if "dev" not in options:
            options["dev"] = identity.dev
        return cls(source_of(identity, key, clock=options.get("clock", time.time)), wire=wire, **options)

    async def request(
        self, method: str, url: str, *, justification: str | None = None, **options: Unpack[RequestOptions]
    ) -> httpx2.Response:
        """As `Agent.request`."""
        request = build_request(method, url, **options)
        wishes = self.preferences(justification)
        response = await self.run(
            lambda opened: exchange(self.context, request, preferences=wishes, open_requests=opened)
        )
        return to_httpx(response, request)

    async def get(self, url: str, **options: Unpack[RequestOptions]) -> httpx2.Response:
        """`GET`; as `request`."""
        return await self.request("GET", url, **options)

    async def head(self, url: str, **options: Unpack[RequestOptions]) -> httpx2.Response:
        """`HEAD`; as `request`."""
        return await self.request("HEAD", url, **options)

    async def post(self, url: str, **options: Unpack[RequestOptions]) -> httpx2.Response:
        """`POST`; as `request`."""
        return await self.request("POST", url, **options)

    async def put(self, url: str, **options: Unpack[RequestOptions]) -> httpx2.Response:
        """`PUT`; as `request`."""
        return await self.request("PUT", url, **options)

    async def patch(self, url: str, **options: Unpack[RequestOptions]) -> httpx2.Response:
        """`PATCH`; as `request`."""
        return await self.request("PATCH", url, **options)

    async def delete(self, url: str, **options: Unpack[RequestOptions]) -> httpx2.Response:
        """`DELETE`; as `request`."""
        return await self.request("DELETE", url, **options)

    async def agent_token(self) -> AgentToken:
        """As `Agent.agent_token`."""
        return await self.run(lambda opened: self.token_flow())

    async def person_token(self, resource: str, *, justification: str | None = None) -> PersonToken:
        """As `Agent.person_token`."""
        return await self.run(lambda opened: self.identity_flow(resource, self.preferences(justification), opened))

    async def authorize(
        self, resource: str, scope: str, *, account: str | None = None, justification: str | None = None
    ) -> AuthToken | None:
        """As `Agent.authorize`."""
        wishes = self.preferences(justification)
        return await self.run(
            lambda opened: authorize(
                self.context, resource, scope, account=account, preferences=wishes, open_requests=opened
            )
        )

    def spawn(self, discriminator: str) -> AsyncAgent:
        """As `Agent.spawn`."""
        child = sub_agent(self.context, discriminator)
        return AsyncAgent(
            child.source,
            wire=self.wire,
            context=child,
            on_interaction=self.on_interaction,
            on_clarification=self.on_clarification,
            on_report=self.on_report,
        )

    async def run(self, flow_of: Callable[[OpenRequests], Flow[_T]]) -> _T:
        """As `Agent.run`."""
        opened = OpenRequests()
        try:
            return await self.wire.run(flow_of(opened), handle=self.handle)
        except BaseException:
            await self.withdraw(opened)
            raise

    async def handle(self, effect: Effect) -> Any:
        """As `Agent.handle`."""
        hook = self.hook_for(effect)
        answer = hook(effect) if hook is not None else None
        return await answer if inspect.isawaitable(answer) else answer

    async def withdraw(self, opened: OpenRequests) -> None:
        """As `Agent.withdraw`; also while the task is being cancelled, for a few seconds."""
        with anyio.move_on_after(_WITHDRAW_S, shield=True):
            await self.wire.run(withdraw_all(self.context, opened), handle=self.handle)

    async def aclose(self) -> None:
        """As `Agent.close`."""
        if self._owns_wire:
            await self.wire.aclose()

    async def __aenter__(self) -> AsyncAgent:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
