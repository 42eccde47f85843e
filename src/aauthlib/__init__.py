"""aauthlib: agents that prove who they are on every HTTP request (AAuth).

What an application needs first stands here. Everything else is a module named for what the specification calls it.
"""

from typing import TYPE_CHECKING, Any

from .errors import AAuthError, Denied, Expired, UserUnreachable

if TYPE_CHECKING:
    from .agent import AAuth, Agent, AsyncAgent

__all__ = ["AAuth", "AAuthError", "Agent", "AsyncAgent", "Denied", "Expired", "UserUnreachable"]

_AGENT = frozenset({"AAuth", "Agent", "AsyncAgent"})


def __getattr__(name: str) -> Any:
    """The agent is loaded when it is first asked for: a resource or a server never pays for its HTTP client."""
    if name in _AGENT:
        from . import agent

        return getattr(agent, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
