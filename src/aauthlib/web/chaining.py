"""An intermediary's application in ASGI: it may go on after its caller was told to wait (#interaction-chaining).

`ChainedApp` stands between the middleware and the application; `onward_page` is where the caller sends the person.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from ..chaining import Intermediary, Invocation
from ..chaining.invocation import INVOCATION, Withdrawn
from ..errors import (
    AAuthError,
    Abandoned,
    Denied,
    Expired,
    ExpiredUpstreamToken,
    RateLimited,
    Revoked,
    RevokedUpstreamToken,
    ServerError,
    TemporarilyUnavailable,
    UserUnreachable,
)
from ..http import Request, Response, json_response
from ..messages.headers import parse_capabilities
from ..messages.problems import error_response
from ..resource import Grant
from ..tokens import AGENT_DWK
from .asgi import MAX_BODY_BYTES, ASGIApp, Message, Receive, Scope, Send, read_fields, send_response
from .collecting import Collecting
from .onward_page import OnwardPage

__all__ = ["ChainedApp", "chaining_handlers"]

_HANDED_ON = ("interaction", "clarification")
#: What the person's server said, which is also the answer to the caller. Anything else is our own failure.
_TOLD = (Denied, Abandoned, Expired, Revoked, UserUnreachable, RateLimited, TemporarilyUnavailable)

#: How long a server takes to say that the connection is closed, if it is.
_HUNG_UP_S = 0.005

_log = logging.getLogger("aauthlib.web")


class ChainedApp:
    """The application `app` of an intermediary."""

    def __init__(self, app: ASGIApp, resource: Intermediary) -> None:
        self._app, self._resource = app, resource

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, self._until_shutdown(receive), send)
            return
        if scope["type"] != "http" or INVOCATION in scope:
            await self._app(scope, receive, send)
            return
        call = _Call(self._resource, scope, receive, send)
        task = asyncio.create_task(call.run(self._app, scope))
        waiting: set[asyncio.Future[object]] = {task, call.accepted}  # type: ignore[arg-type]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            raise
        if not call.accepted.done():
            call.accepted.cancel()
            await task
            return
        invocation = call.invocation
        assert invocation is not None
        self._resource.invocations.attach(invocation, task)
        await call.drain()
        if await call.is_gone():
            # Nobody learns the pending URL any more, so nobody could fetch the result, or withdraw.
            await self._resource.invocations.withdraw(invocation)
            return
        await send_response(send, call.accepted.result())

    def _until_shutdown(self, receive: Receive) -> Receive:
        async def receiving() -> Message:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                await self._resource.aclose()
            return message

        return receiving


class _Call:
    """One request: what the application receives and sends, before and after its caller is told to wait.

    The invocation is made when the application's first call downstream asks for it, since only then the grant is
    certain to be there.
    """

    def __init__(self, resource: Intermediary, scope: Scope, receive: Receive, send: Send) -> None:
        self._resource, self._scope, self._receive, self._send = resource, scope, receive, send
        self.accepted: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self.invocation: Invocation | None = None
        self._result: Collecting | None = None
        self._body: list[Message] = []
        self._reading, self._drained, self._complete = asyncio.Lock(), asyncio.Event(), False
        self._held: list[Message] = []
        self._held_back = self._started = False

    async def run(self, app: ASGIApp, scope: Scope) -> None:
        try:
            await app({**scope, INVOCATION: self._begin}, self.receive, self.send)
        except Exception as error:
            invocation = self.invocation
            if invocation is None or not await self._failed(invocation, error):
                await self._release()
                raise
            return
        invocation = self.invocation
        if invocation is None or not invocation.detached:
            await self._release()
            return
        await self._ended(invocation)

    def _begin(self, grant: Grant) -> Invocation | None:
        """The invocation of this request."""
        if self.invocation is None and grant.presented is not None:
            declared = parse_capabilities(read_fields(self._scope))
            self.invocation = Invocation(
                self._resource.invocations,
                upstream=grant.presented,
                capabilities=tuple(name for name in _HANDED_ON if name in declared),
                accepted=self.accepted,
                responding=self._started,
            )
        return self.invocation

    async def _ended(self, invocation: Invocation) -> None:
        invocations = self._resource.invocations
        if self._result is None:
            await invocations.fail(invocation, ServerError("The application gave no response."))
            return
        try:
            await invocations.finish(invocation, self._result.result())
        except AAuthError as error:
            await invocations.fail(invocation, error)

    async def _failed(self, invocation: Invocation, error: Exception) -> bool:
        """Whether the failure was told to the caller."""
        failure = invocation.failure if _caused_by(error, invocation.failure) else None
        if invocation.detached:
            if failure is None and not isinstance(error, Withdrawn):
                _log.error("a chained invocation failed: %s", type(error).__name__)
            await self._resource.invocations.fail(invocation, failure if failure is not None else error)
            return True
        if failure is None or (invocation.responding and not self._held_back):
            return False
        await send_response(self._send, error_response(_told(failure)))
        return True

    async def receive(self) -> Message:
        if not self.accepted.done():
            async with self._reading:
                message = await self._receive()
                self._complete = self._complete or not message.get("more_body", False)
            if message["type"] != "http.disconnect" or not self.accepted.done():
                return message
        # The caller's connection went its way with the 202; whoever waits for the result polls.
        await self._drained.wait()
        if self._body:
            return self._body.pop(0)
        await asyncio.Event().wait()
        raise AssertionError("never")

    async def drain(self) -> None:
        """Read what is left of the body before the response ends the exchange it comes in."""
        size = 0
        if not self._complete:
            async with self._reading:
                while not self._complete:
                    message = await self._receive()
                    size += len(message.get("body", b""))
                    if size > MAX_BODY_BYTES:
                        # An application that wants more of it reads it before it calls downstream.
                        message = {"type": "http.disconnect"}
                    self._complete = not message.get("more_body", False)
                    self._body.append(message)
        self._drained.set()

    async def is_gone(self) -> bool:
        """Whether the caller has hung up, once its body was read; a server says so at once, or has nothing to say."""
        receiving = asyncio.ensure_future(self._receive())
        done, _ = await asyncio.wait({receiving}, timeout=_HUNG_UP_S)
        if not done:
            receiving.cancel()
            await asyncio.wait({receiving})
            return False
        return bool(receiving.result()["type"] == "http.disconnect")

    async def send(self, message: Message) -> None:
        invocation = self.invocation
        if invocation is not None and invocation.detached:
            if self._result is None:
                self._result = Collecting(self._resource.chain.max_result_bytes)
            await self._result.send(message)
            return
        if message["type"] == "http.response.start":
            self._started = True
            if invocation is not None:
                invocation.responding = True
                # A framework answers 500 before it lets an exception through; it may be one the caller can be told.
                self._held_back = invocation.failure is not None and message["status"] == 500
        if self._held_back:
            self._held.append(message)
            return
        await self._send(message)

    async def _release(self) -> None:
        held, self._held, self._held_back = self._held, [], False
        for message in held:
            await self._send(message)


def _caused_by(error: BaseException | None, failure: AAuthError | None) -> bool:
    """Whether `failure` came through as `error` or as what caused it."""
    for _ in range(8):
        if error is None or failure is None:
            return False
        if error is failure:
            return True
        if isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
            error = error.exceptions[0]
        else:
            error = error.__cause__ or error.__context__
    return False


def _told(failure: AAuthError) -> AAuthError:
    """What the caller is told of a failure downstream."""
    if isinstance(failure, _TOLD):
        return failure
    if isinstance(failure, ExpiredUpstreamToken):
        return Expired("The token presented has expired; call again with a later one.")
    if isinstance(failure, RevokedUpstreamToken):
        return Revoked("The access of the agent that called was revoked.")
    return ServerError("A resource that this one needs could not be used.")


# ------------------------------------------------------------------------- the protocol's own paths

Handlers = dict[str, Callable[[Request], Awaitable[Response]]]


def chaining_handlers(resource: Intermediary, page: OnwardPage, path: str) -> Handlers | None:
    """What an intermediary serves beside what a resource does, by method; `None` for another path."""
    if path == f"/.well-known/{AGENT_DWK}":

        async def metadata(_: Request) -> Response:
            response = json_response(200, resource.agent_metadata_document())
            return Response(200, response.headers.with_(cache_control="public, max-age=300"), response.body)

        return {"GET": metadata}
    kind, _, name = path.removeprefix(resource.prefix).partition("/")
    if not path.startswith(resource.prefix) or not name or "/" in name or len(name) > 128:
        return None
    if kind == "onward":
        return {"GET": lambda request: page.onward(request, name)}
    if kind != "chained":
        return None

    async def poll(request: Request) -> Response:
        return await resource.invocations.polls.poll(request, await resource.verify(request), name)

    async def answer(request: Request) -> Response:
        return await resource.invocations.polls.answer(request, await resource.verify(request), name)

    async def cancel(request: Request) -> Response:
        return await resource.invocations.polls.cancel(await resource.verify(request), name)

    return {"GET": poll, "POST": answer, "DELETE": cancel}
