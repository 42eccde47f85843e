"""The clients an application calls downstream with: `AsyncAgent` and `Agent`, acting for one caller.

What is for people is handed to the invocation, which hands it to the caller (#interaction-chaining).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from ..agent import Agent, AgentContext, AsyncAgent, OpenRequests
from ..agent.interaction import ClarificationHook
from ..effects import Answer, Flow
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
            if self._invocation is not None:
                self._invocation.check()
            with self._slots.take((upstream.person_server, upstream.sub)):
                yield
        except AAuthError as error:
            if self._invocation is not None:
                self._invocation.failure = error
            raise


class AsyncDownstream(AsyncAgent):
    """An `AsyncAgent` that acts for the caller of one request; see `Intermediary.downstream`."""

    def __init__(
        self,
        context: AgentContext,
        *,
        wire: AsyncWire,
        invocation: Invocation | None,
        slots: Slots,
        on_clarification: ClarificationHook | None = None,
    ) -> None:
        super().__init__(
            context.source,
            wire=wire,
            context=context,
            on_interaction=invocation.direct if invocation is not None else None,
            on_clarification=on_clarification or (invocation.answer if invocation is not None else None),
            on_report=invocation.report if invocation is not None else None,
        )
        self._acting, self._invocation = _Acting(context, invocation, slots), invocation

    async def ask_caller(self, question: Answer) -> str | None:
        """Have the caller answer `question`, for an `on_clarification` that cannot; `None` when it cannot either."""
        return await self._invocation.answer(question) if self._invocation is not None else None

    async def run(self, flow_of: Callable[[OpenRequests], Flow[_T]]) -> _T:
        """As `AsyncAgent.run`, within the bounds of the upstream token."""
        with self._acting.call():
            return await super().run(flow_of)


class Downstream(Agent):
    """An `Agent` that acts for the caller of one request, in a thread; see `Intermediary.downstream_blocking`."""

    def __init__(
        self,
        context: AgentContext,
        *,
        wire: Wire,
        invocation: Invocation | None,
        slots: Slots,
        on_clarification: ClarificationHook | None = None,
    ) -> None:
        super().__init__(
            context.source,
            wire=wire,
            context=context,
            on_interaction=invocation.direct_from_thread if invocation is not None else None,
            on_clarification=on_clarification or (invocation.answer_from_thread if invocation is not None else None),
            on_report=invocation.report_from_thread if invocation is not None else None,
        )
        self._acting, self._invocation = _Acting(context, invocation, slots), invocation

    def ask_caller(self, question: Answer) -> str | None:
        """As `AsyncDownstream.ask_caller`."""
        return self._invocation.answer_from_thread(question) if self._invocation is not None else None

    def run(self, flow_of: Callable[[OpenRequests], Flow[_T]]) -> _T:
        """As `Agent.run`, within the bounds of the upstream token."""
        with self._acting.call():
            return super().run(flow_of)
