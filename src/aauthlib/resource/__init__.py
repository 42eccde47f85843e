"""The resource role: a policy of the trust ladder per route, challenges, resource tokens, sessions, revocation.

`web.resource.AAuthMiddleware` puts it in front of an ASGI application. Needs only the core install, with
`MemoryResourceStore`.
"""

from ..store.resource_memory import MemoryResourceStore
from ..store.resource_records import PersonRecord
from .challenges import Challenge, refusal
from .grant import ANONYMOUS_GRANT, Decision, Grant
from .held import HeldPolicy
from .interaction import Interactions, InteractionView, SignIn
from .issuing import AccountHolder
from .policy import (
    AccessRule,
    Match,
    Policy,
    Route,
    anonymous,
    authorized,
    deny,
    identified,
    managed,
    person,
    pseudonym,
)
from .ratelimit import Limit, RateLimiter
from .resource import Execute, Resource
from .sessions import SessionPolicy
from .storage import ResourceStore

__all__ = [
    "ANONYMOUS_GRANT",
    "AccessRule",
    "AccountHolder",
    "Challenge",
    "Decision",
    "Execute",
    "Grant",
    "HeldPolicy",
    "InteractionView",
    "Interactions",
    "Limit",
    "Match",
    "MemoryResourceStore",
    "PersonRecord",
    "Policy",
    "RateLimiter",
    "Resource",
    "ResourceStore",
    "Route",
    "SessionPolicy",
    "SignIn",
    "anonymous",
    "authorized",
    "deny",
    "identified",
    "managed",
    "person",
    "pseudonym",
    "refusal",
]
