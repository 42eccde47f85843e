"""The clients an application calls downstream with: `AsyncAgent` and `Agent`, acting for one caller.

What is for people is handed to the invocation, which hands it to the caller (#interaction-chaining).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from ..agent import Agent, AgentContext, AsyncAgent, OpenRequests
from ..effects import Flow
from ..errors import AAuthError, ExpiredUpstreamToken
from ..transport import AsyncWire, Wire
from .invocation import Invocation
from .slots import Slots

__all__ = ["AsyncDownstream", "Downstream"]

_T = TypeVar("_T")


class _Acting:
    """What both clients check around each call."""

    def __init__(self, context: AgentContext, invocation: Invocation | None, slots: Slots) -> None:
        self._context, self._invocation, self._slots = context, invocation, slots

    @contextmanager
    def call(self) -> Iterator[None]:
        upstream = self._context.upstream
        assert upstream is not None
        try:
            if upstream.exp <= self._context.clock():
                raise ExpiredUpstreamToken("The caller's token has expired; its next call brings a later one.")
            with self._slots.take((upstream.person_server, upstream.sub)):
                yield
        except AAuthError as error:
            if self._invocation is not None:
                self._invocation.failure = error
            raise


class AsyncDownstream(AsyncAgent):
    """An `AsyncAgent` that acts for the caller of one request; see `Intermediary.downstream`."""

    def __init__(self, context: AgentContext, *, wire: AsyncWire, invocation: Invocation | None, slots: Slots) -> None:
        super().__init__(
            context.source,
            wire=wire,
            context=context,
            on_interaction=invocation.direct if invocation is not None else None,
            on_clarification=invocation.answer if invocation is not None else None,
        )
        self._acting = _Acting(context, invocation, slots)

    async def run(self, flow_of: Callable[[OpenRequests], Flow[_T]]) -> _T:
        """As `AsyncAgent.run`, within the bounds of the upstream token."""
        with self._acting.call():
            return await super().run(flow_of)


class Downstream(Agent):
    """An `Agent` that acts for the caller of one request, in a thread; see `Intermediary.downstream_blocking`."""

    def __init__(self, context: AgentContext, *, wire: Wire, invocation: Invocation | None, slots: Slots) -> None:
        super().__init__(
            context.source,
            wire=wire,
            context=context,
            on_interaction=invocation.direct_from_thread if invocation is not None else None,
            on_clarification=invocation.answer_from_thread if invocation is not None else None,
            on_report=invocation.check_from_thread if invocation is not None else None,
        )
        self._acting = _Acting(context, invocation, slots)

    def run(self, flow_of: Callable[[OpenRequests], Flow[_T]]) -> _T:
        """As `Agent.run`, within the bounds of the upstream token."""
        with self._acting.call():
            return super().run(flow_of)
