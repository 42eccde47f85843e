"""A resource that calls on for its callers (#multi-hop): the resource and the agent role, collocated.

`Intermediary` is a `Resource` that is its own agent provider and whose `downstream(request)` is an agent acting for the
person of that request. `web.resource.AAuthMiddleware` serves what it publishes, and hands an interaction that a call
downstream needs on to the caller (#interaction-chaining).
"""

from .clients import AsyncDownstream, Downstream
from .intermediary import Intermediary
from .invocation import Invocation
from .invocations import Invocations
from .policy import ChainPolicy
from .storage import ChainStore

__all__ = ["AsyncDownstream", "ChainPolicy", "ChainStore", "Downstream", "Intermediary", "Invocation", "Invocations"]
