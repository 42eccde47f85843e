"""What an agent can be set up with, and what one request can be given: the keyword arguments of `client`, typed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias, TypedDict

from ..deferred.polling import PollPolicy
from ..effects import Clock
from .context import AgentContext, GrantPreferences
from .interaction import ClarificationHook, InteractionHook, ReportHook

__all__ = ["AgentOptions", "Opening", "RequestOptions"]

Opening: TypeAlias = Literal["anonymous", "pseudonym", "agent-token"]


class AgentOptions(TypedDict, total=False):
    """Keyword arguments of `Agent` and `AsyncAgent`."""

    clock: Clock
    """Unix seconds; the machine's by default."""
    dev: bool
    """The development profile: `*.localhost`, `http`, ports."""
    on_interaction: InteractionHook | None
    """Gets the person to a URL; opens a browser by default. `None` for an agent without a person nearby."""
    on_clarification: ClarificationHook | None
    """Answers a question of the person's: Markdown, an `UpdatedRequest`, or `None` to withdraw. Without it the agent
    does not declare that it takes questions."""
    on_report: ReportHook | None
    """Is told what happens, step by step."""
    preferences: GrantPreferences | None
    """What goes with requests to the person server."""
    opening: Opening
    """The rung of the trust ladder to start at with a resource that was never met; `agent-token` by default."""
    poll: PollPolicy | None
    """How long and how patiently to wait for a person."""
    timeout_s: float
    """For one response of a resource, in seconds."""
    max_body_bytes: int
    """The largest response body accepted from a resource."""
    context: AgentContext | None
    """Instead of all of the above but the hooks: a context that was built elsewhere."""


class RequestOptions(TypedDict, total=False):
    """Keyword arguments of one request, as `httpx2.Request` takes them."""

    params: Any
    headers: Mapping[str, str] | list[tuple[str, str]] | None
    cookies: Any
    content: bytes | str | None
    data: Mapping[str, Any] | None
    files: Any
    json: Any
