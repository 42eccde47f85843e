"""`AsyncAgent`: `Agent` for an event loop, over the same flows (#consuming-a-resource)."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, Unpack

import anyio
import httpx2

from ..effects import Effect, Flow
from ..tokens import AgentToken, AuthToken, PersonToken
from ..transport import AsyncWire
from .authorization import authorize
from .bridging import build_request, to_httpx
from .context import AgentTokenSource, OpenRequests
from .governance import GovernanceClient
from .identity import load_identity, source_of
from .keystore import Keystore
from .loop import exchange
from .missions import Permission
from .options import AgentOptions, RequestOptions
from .outbox import AsyncOutbox
from .pending import PendingRequest
from .resuming import Answered, Keep, begun, cancelled, resumed
from .shell import Shell
from .subagents import sub_agent
from .withdrawal import withdraw_all

if TYPE_CHECKING:
    from .mission_clients import AsyncMissions

__all__ = ["AsyncAgent"]

_T = TypeVar("_T")
_WITHDRAW_S = 5.0


class AsyncAgent(Shell):
    """As `Agent`, on an event loop; hooks may return awaitables. Belongs to the loop that first uses it."""

    def __init__(
        self, source: AgentTokenSource, *, wire: AsyncWire | None = None, **options: Unpack[AgentOptions]
    ) -> None:
        super().__init__(source, **options)
        self.wire = wire if wire is not None else AsyncWire.open(dev=self.context.dev, clock=self.context.clock)
        self._owns_wire = wire is None
        self.outbox = AsyncOutbox()

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

    async def get(
        self, url: str, *, justification: str | None = None, **options: Unpack[RequestOptions]
    ) -> httpx2.Response:
        """`GET`; as `request`."""
        return await self.request("GET", url, justification=justification, **options)

    async def head(
        self, url: str, *, justification: str | None = None, **options: Unpack[RequestOptions]
    ) -> httpx2.Response:
        """`HEAD`; as `request`."""
        return await self.request("HEAD", url, justification=justification, **options)

    async def post(
        self, url: str, *, justification: str | None = None, **options: Unpack[RequestOptions]
    ) -> httpx2.Response:
        """`POST`; as `request`."""
        return await self.request("POST", url, justification=justification, **options)

    async def put(
        self, url: str, *, justification: str | None = None, **options: Unpack[RequestOptions]
    ) -> httpx2.Response:
        """`PUT`; as `request`."""
        return await self.request("PUT", url, justification=justification, **options)

    async def patch(
        self, url: str, *, justification: str | None = None, **options: Unpack[RequestOptions]
    ) -> httpx2.Response:
        """`PATCH`; as `request`."""
        return await self.request("PATCH", url, justification=justification, **options)

    async def delete(
        self, url: str, *, justification: str | None = None, **options: Unpack[RequestOptions]
    ) -> httpx2.Response:
        """`DELETE`; as `request`."""
        return await self.request("DELETE", url, justification=justification, **options)

    async def begin(
        self,
        method: str,
        url: str,
        *,
        wait_s: float = 0.0,
        keep: Keep | None = None,
        justification: str | None = None,
        **options: Unpack[RequestOptions],
    ) -> httpx2.Response | PendingRequest:
        """As `Agent.begin`."""
        request = build_request(method, url, **options)
        wishes = self.preferences(justification)
        context = self.putting_aside(wait_s)
        return await self._answer(lambda opened: begun(context, request, wishes, opened, wait_s=wait_s, keep=keep))

    async def resume(
        self, pending: PendingRequest, *, wait_s: float = 0.0, keep: Keep | None = None
    ) -> httpx2.Response | PendingRequest:
        """As `Agent.resume`."""
        context = self.putting_aside(wait_s)
        return await self._answer(lambda opened: resumed(context, pending, opened, wait_s=wait_s, keep=keep))

    async def cancel(self, pending: PendingRequest) -> int:
        """As `Agent.cancel`."""
        return await self.wire.run(cancelled(self.context, pending), handle=self.handle)

    async def _answer(
        self, flow_of: Callable[[OpenRequests], Flow[Answered | PendingRequest]]
    ) -> httpx2.Response | PendingRequest:
        result = await self.run(flow_of)
        return result if isinstance(result, PendingRequest) else to_httpx(*result)

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

    @property
    def missions(self) -> AsyncMissions:
        """As `Agent.missions`."""
        from .mission_clients import AsyncMissions  # a mission is an agent

        return AsyncMissions(self)

    async def permission(
        self, action: str, *, description: str | None = None, parameters: dict[str, Any] | None = None
    ) -> Permission:
        """As `Agent.permission`."""
        return await self.run(
            lambda opened: GovernanceClient(self.context, open_requests=opened).permission(
                action, description=description, parameters=parameters
            )
        )

    async def ask(self, question: str, *, description: str | None = None) -> str:
        """As `Agent.ask`."""
        return await self.run(
            lambda opened: GovernanceClient(self.context, open_requests=opened).ask(question, description=description)
        )

    async def relay(
        self,
        url: str,
        code: str,
        *,
        payment: bool = False,
        description: str | None = None,
        max_wait_s: int | None = None,
    ) -> None:
        """As `Agent.relay`."""
        await self.run(
            lambda opened: GovernanceClient(self.context, open_requests=opened).relay(
                url, code, payment=payment, description=description, max_wait_s=max_wait_s
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
            if not opened.kept:
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
        await self.outbox.aclose()
        if self._owns_wire:
            await self.wire.aclose()

    async def __aenter__(self) -> AsyncAgent:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
