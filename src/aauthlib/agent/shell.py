"""What the blocking and the asynchronous agent have in common: set-up, hooks, and the flows they run."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from math import ceil
from typing import Any

from ..deferred.polling import PollPolicy
from ..effects import Answer, Clock, Direct, Effect, Flow, Report
from ..errors import ConfigurationError
from ..http import Request
from ..tokens import AgentToken, PersonToken, VerificationPolicy
from ..verification import Level
from .chain import agent_credential
from .context import OPENINGS, AgentContext, AgentTokenSource, GrantPreferences, OpenRequests
from .credentials import Credentials
from .interaction import ClarificationHook, InteractionHook, OpenBrowser, ReportHook
from .loop import Exchange
from .options import Opening

__all__ = ["Shell"]

OPEN_BROWSER = OpenBrowser()


class Shell:
    """What both agents are set up with."""

    def __init__(
        self,
        source: AgentTokenSource,
        *,
        clock: Clock = time.time,
        dev: bool = False,
        on_interaction: InteractionHook | None = OPEN_BROWSER,
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

    def putting_aside(self, wait_s: float) -> AgentContext:
        """The context of a request that is put aside after `wait_s` seconds, and not given up."""
        known = self.context.poll
        poll = PollPolicy(wait_s=min(known.wait_s, ceil(max(0.0, wait_s))), deadline_s=wait_s + known.deadline_s)
        return replace(self.context, poll=poll)

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
