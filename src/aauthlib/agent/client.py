"""`Agent`: a blocking HTTP client that proves who it is and meets what resources require.

A thin shell: the exchange is the flow in `loop`, carried out by a wire from `transport`; what is for people goes to the
application's hooks. When the application stops waiting (Ctrl-C, an error), pending requests are withdrawn at their
servers (#cancel-request).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, Unpack

import httpx2

from ..effects import Effect, Flow
from ..tokens import AgentToken, AuthToken, PersonToken
from ..transport import Wire
from .authorization import authorize
from .bridging import build_request, to_httpx
from .context import AgentTokenSource, OpenRequests
from .governance import GovernanceClient
from .identity import load_identity, source_of
from .keystore import Keystore
from .loop import exchange
from .missions import Permission
from .options import AgentOptions, RequestOptions
from .outbox import Outbox
from .pending import PendingRequest
from .resuming import Answered, Keep, begun, cancelled, resumed
from .shell import Shell
from .subagents import sub_agent
from .withdrawal import withdraw_all

if TYPE_CHECKING:
    from .mission_clients import Missions

__all__ = ["Agent"]

_T = TypeVar("_T")


class Agent(Shell):
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
        self.outbox = Outbox()

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

    def get(self, url: str, *, justification: str | None = None, **options: Unpack[RequestOptions]) -> httpx2.Response:
        """`GET`; as `request`."""
        return self.request("GET", url, justification=justification, **options)

    def head(self, url: str, *, justification: str | None = None, **options: Unpack[RequestOptions]) -> httpx2.Response:
        """`HEAD`; as `request`."""
        return self.request("HEAD", url, justification=justification, **options)

    def post(self, url: str, *, justification: str | None = None, **options: Unpack[RequestOptions]) -> httpx2.Response:
        """`POST`; as `request`."""
        return self.request("POST", url, justification=justification, **options)

    def put(self, url: str, *, justification: str | None = None, **options: Unpack[RequestOptions]) -> httpx2.Response:
        """`PUT`; as `request`."""
        return self.request("PUT", url, justification=justification, **options)

    def patch(
        self, url: str, *, justification: str | None = None, **options: Unpack[RequestOptions]
    ) -> httpx2.Response:
        """`PATCH`; as `request`."""
        return self.request("PATCH", url, justification=justification, **options)

    def delete(
        self, url: str, *, justification: str | None = None, **options: Unpack[RequestOptions]
    ) -> httpx2.Response:
        """`DELETE`; as `request`."""
        return self.request("DELETE", url, justification=justification, **options)

    # ------------------------------------------------------------------ requests that may take hours

    def begin(
        self,
        method: str,
        url: str,
        *,
        wait_s: float = 0.0,
        keep: Keep | None = None,
        justification: str | None = None,
        **options: Unpack[RequestOptions],
    ) -> httpx2.Response | PendingRequest:
        """As `request`, but a request that waits for somebody for longer than `wait_s` seconds is put aside and
        returned: `resume` goes on with it, hours later or in another process.

        `keep` is given it as soon as it waits, and again whenever what it waits for changes. What was kept is not
        withdrawn when the application stops, so that not even a crash loses it. Raises `ConfigurationError` for a
        request that cannot be kept (a body of more than 32 KiB, a sub-agent's), and as `request` does.
        """
        request = build_request(method, url, **options)
        wishes = self.preferences(justification)
        context = self.putting_aside(wait_s)
        return self._answer(lambda opened: begun(context, request, wishes, opened, wait_s=wait_s, keep=keep))

    def resume(
        self, pending: PendingRequest, *, wait_s: float = 0.0, keep: Keep | None = None
    ) -> httpx2.Response | PendingRequest:
        """Go on with a request that was put aside; `wait_s` and `keep` are those of `begin`.

        What has expired meanwhile is asked anew, and what was decided is applied to that. Raises as `begin` does, and
        `ConfigurationError` for a request of another agent's.
        """
        context = self.putting_aside(wait_s)
        return self._answer(lambda opened: resumed(context, pending, opened, wait_s=wait_s, keep=keep))

    def cancel(self, pending: PendingRequest) -> int:
        """Withdraw a request that was put aside, and return how many servers took it back (#cancel-request).

        Raises `ConfigurationError` for a request of another agent's.
        """
        return self.wire.run(cancelled(self.context, pending), handle=self.handle)

    def _answer(
        self, flow_of: Callable[[OpenRequests], Flow[Answered | PendingRequest]]
    ) -> httpx2.Response | PendingRequest:
        result = self.run(flow_of)
        return result if isinstance(result, PendingRequest) else to_httpx(*result)

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

    # ------------------------------------------------------------------ the person

    @property
    def missions(self) -> Missions:
        """Missions to propose, or to go on with (#missions)."""
        from .mission_clients import Missions  # a mission is an agent

        return Missions(self)

    def permission(
        self, action: str, *, description: str | None = None, parameters: dict[str, Any] | None = None
    ) -> Permission:
        """Ask whether an action that no resource governs may be done, and wait for the answer (#permission-endpoint).

        `description` is Markdown, `parameters` what the action would be given; the person sees both.
        """
        return self.run(
            lambda opened: GovernanceClient(self.context, open_requests=opened).permission(
                action, description=description, parameters=parameters
            )
        )

    def ask(self, question: str, *, description: str | None = None) -> str:
        """Ask the person something, and wait for their answer (#interaction-endpoint). Markdown both ways.

        Raises `Denied` when they do not answer, and `UserUnreachable`.
        """
        return self.run(
            lambda opened: GovernanceClient(self.context, open_requests=opened).ask(question, description=description)
        )

    def relay(
        self,
        url: str,
        code: str,
        *,
        payment: bool = False,
        description: str | None = None,
        max_wait_s: int | None = None,
    ) -> None:
        """Have the person server bring the person to a page of somebody else's (#interaction-relay).

        Returns when they went there; what they did there its host says. Requests to resources do this by themselves.
        Raises `InteractionUnavailable`, `Denied`, or `Expired` after `max_wait_s` seconds.
        """
        self.run(
            lambda opened: GovernanceClient(self.context, open_requests=opened).relay(
                url, code, payment=payment, description=description, max_wait_s=max_wait_s
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
            if not opened.kept:
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
        """Send what was reported and not sent yet, and close the connections, if they are this agent's own."""
        self.outbox.close()
        if self._owns_wire:
            self.wire.close()

    def __enter__(self) -> Agent:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
