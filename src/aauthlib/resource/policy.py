"""The policy of a resource: which rung of the trust ladder each route asks for (#resource-tokens, #scopes).

A policy is a list of routes and a default, which is to refuse. The first route that matches counts. A route that grows
from pseudonym to auth token is one changed line. Knows no HTTP library: a route matches a method and a decoded path.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from ..errors import ConfigurationError
from ..verification import Level
from .ratelimit import Limit

__all__ = [
    "AccessRule",
    "Delivery",
    "Match",
    "Policy",
    "Route",
    "anonymous",
    "authorized",
    "deny",
    "identified",
    "managed",
    "person",
    "pseudonym",
]

Delivery = Literal["401", "202"]

#: How much higher the limit of a caller with a key is, on a route that also serves callers without one.
SIGNED_FACTOR = 10

_SCOPE_VALUE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,256}\Z")
_PARAMETER = re.compile(r"\{([a-z_][a-z0-9_]*)\}")
_METHOD = re.compile(r"[A-Z]{1,32}\Z|\*\Z")


@dataclass(frozen=True, slots=True)
class AccessRule:
    """What a route asks of its caller. Made by `anonymous`, `pseudonym`, `identified`, `person`, `authorized`,
    `managed` and `deny`."""

    level: Level
    scopes: tuple[str, ...] = ()
    """Scope values that must all have been granted."""
    delivery: Delivery = "401"
    """How the lack of an auth token is answered: a challenge, or the invocation held until one is presented."""
    account: str | None = None
    """The path parameter that names the account the token must be bound to (#account-binding)."""
    allow: frozenset[str] | None = None
    """Agents, agent providers and servers that are let in; `None` for everybody."""
    session: bool = False
    """Resource-managed access: a session token, given out after this resource's own consent."""
    denied: bool = False
    limit: Limit | None = None
    """For each caller, counted by what it proves."""
    anonymous_limit: Limit | None = None
    """For callers that prove nothing, counted by address."""


def _limit(limit: str | Limit | None) -> Limit | None:
    return Limit.parse(limit) if isinstance(limit, str) else limit


def _scopes(scopes: Iterable[str]) -> tuple[str, ...]:
    values = tuple(dict.fromkeys(scopes))
    for value in values:
        if not _SCOPE_VALUE.match(value):
            raise ConfigurationError(f"{value!r} is not a scope value: one word of visible ASCII, one per argument.")
    return values


def anonymous(*, limit: str | Limit | None = None, signed_limit: str | Limit | None = None) -> AccessRule:
    """Anybody. `limit` is per client address; a caller that signs is counted by its key instead, against
    `signed_limit`, or ten times `limit`."""
    tight, wide = _limit(limit), _limit(signed_limit)
    if wide is None and tight is not None:
        wide = tight.times(SIGNED_FACTOR)
    return AccessRule(Level.ANONYMOUS, limit=wide, anonymous_limit=tight)


def pseudonym(*, limit: str | Limit | None = None) -> AccessRule:
    """The same key again: any signed request."""
    return AccessRule(Level.PSEUDONYM, limit=_limit(limit))


def identified(*, allow: Collection[str] | None = None, limit: str | Limit | None = None) -> AccessRule:
    """An agent known by its provider, or a server (#requirement-agent-token).

    `allow` lists who is let in: agent identifiers (`aauth:local@domain`), agent providers or servers
    (`https://...`), compared exactly.
    """
    if isinstance(allow, str):
        raise ConfigurationError("allow is a list of identifiers, not one string.")
    return AccessRule(Level.IDENTIFIED, allow=None if allow is None else frozenset(allow), limit=_limit(limit))


def person(*, limit: str | Limit | None = None) -> AccessRule:
    """The person the agent acts for, named by a person token (#requirement-person-token)."""
    return AccessRule(Level.PERSON, limit=_limit(limit))


def authorized(
    *scopes: str, delivery: Delivery = "401", account: str | None = None, limit: str | Limit | None = None
) -> AccessRule:
    """An auth token with all of `scopes` (#requirement-auth-token).

    `delivery="202"` holds the invocation and executes it once the agent presents an auth token at the pending URL
    (#deferred-auth-token). `account` names the path parameter whose value the token's `account` must equal.
    """
    if not scopes:
        raise ConfigurationError("authorized() needs at least one scope value: what is the person asked to grant?")
    if delivery not in ("401", "202"):
        raise ConfigurationError("delivery is '401' (challenge) or '202' (hold the invocation).")
    return AccessRule(Level.AUTHORIZED, scopes=_scopes(scopes), delivery=delivery, account=account, limit=_limit(limit))


def managed(*scopes: str, limit: str | Limit | None = None) -> AccessRule:
    """Resource-managed access (#resource-managed-auth): the person signs in here, on this resource's own page, and the
    agent gets a session token. No person server is involved."""
    if not scopes:
        raise ConfigurationError("managed() needs at least one scope value: what is the person asked to grant?")
    return AccessRule(Level.IDENTIFIED, scopes=_scopes(scopes), session=True, limit=_limit(limit))


def deny() -> AccessRule:
    """Nobody."""
    return AccessRule(Level.AUTHORIZED, denied=True)


@dataclass(frozen=True, slots=True)
class Route:
    """A method, a path and what they ask for.

    `method` is one method, several separated by `|`, or `*`; `GET` includes `HEAD`. In `path`, `{name}` matches one
    segment and a final `*` matches the rest. A trailing slash makes no difference.
    """

    method: str
    path: str
    rule: AccessRule
    _methods: frozenset[str] = field(init=False, repr=False, compare=False)
    _pattern: re.Pattern[str] = field(init=False, repr=False, compare=False)
    _parameters: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        methods = frozenset(self.method.split("|"))
        if not all(_METHOD.match(method) for method in methods):
            raise ConfigurationError(f"{self.method!r} is not an HTTP method in upper case, several joined by |, or *.")
        if "GET" in methods:
            methods |= {"HEAD"}
        pattern, parameters = _compile(self.path)
        if self.rule.account is not None and self.rule.account not in parameters:
            raise ConfigurationError(
                f"The route {self.path!r} binds an account by {self.rule.account!r}, which is not in its path."
            )
        object.__setattr__(self, "_methods", methods)
        object.__setattr__(self, "_pattern", re.compile(pattern))
        object.__setattr__(self, "_parameters", parameters)

    def takes(self, method: str) -> bool:
        """Whether the route is about `method`."""
        return method in self._methods or "*" in self._methods

    def match(self, path: str) -> Mapping[str, str] | None:
        """The path parameters when `path` matches, else `None`."""
        found = self._pattern.match(path)
        return None if found is None else dict(zip(self._parameters, found.groups(), strict=True))

    @property
    def methods(self) -> frozenset[str]:
        return self._methods


def _compile(path: str) -> tuple[str, tuple[str, ...]]:
    """The regular expression of a path pattern, and its parameters in order."""
    rest = path.endswith("*")
    body = path[:-1] if rest else path
    if not path.startswith("/") or "*" in body or "//" in path or (rest and not body.endswith("/")):
        raise ConfigurationError(f"{path!r} is not a path pattern: it starts with / and may end in /*.")
    body = body.rstrip("/")
    pattern, parameters, position = "", [], 0
    for match in _PARAMETER.finditer(body):
        pattern += re.escape(body[position : match.start()]) + "([^/]+)"
        parameters.append(match.group(1))
        position = match.end()
    literal = body[position:]
    if "{" in re.sub(_PARAMETER, "", body) or "}" in re.sub(_PARAMETER, "", body):
        raise ConfigurationError(f"{path!r} has a parameter that is not written {{name}} in lower case.")
    if len(set(parameters)) != len(parameters):
        raise ConfigurationError(f"{path!r} names a parameter twice.")
    pattern += re.escape(literal) + ("(?:/.*)?" if rest else "/?")
    return pattern + r"\Z", tuple(parameters)


@dataclass(frozen=True, slots=True)
class Match:
    """What the policy says about one request."""

    rule: AccessRule
    route: str
    """Names the route, for rate limits."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    allow: tuple[str, ...] = ()
    """When nothing matches for this method but something does for others: those methods."""


class Policy:
    """Routes in order, and what holds where none matches: `default`, which refuses unless told otherwise."""

    def __init__(self, routes: Iterable[Route], *, default: AccessRule | None = None) -> None:
        self.routes = tuple(routes)
        self.default = deny() if default is None else default
        if self.default.account is not None:
            raise ConfigurationError("The default rule has no path parameters, so it cannot bind an account.")
        seen: set[tuple[str, str]] = set()
        for route in self.routes:
            for method in route.method.split("|"):
                if (method, route.path) in seen:
                    raise ConfigurationError(f"{method} {route.path} stands in the policy twice; only one can count.")
                seen.add((method, route.path))
        self._names = tuple(f"{number} {route.method} {route.path}" for number, route in enumerate(self.routes))
        self._any_case = tuple((route, re.compile(_compile(route.path)[0], re.IGNORECASE)) for route in self.routes)

    @property
    def rules(self) -> tuple[AccessRule, ...]:
        """Every rule, the default last."""
        return (*(route.rule for route in self.routes), self.default)

    def match(self, method: str, path: str) -> Match:
        """What `method` on the decoded `path` asks for."""
        others: set[str] = set()
        for route, name in zip(self.routes, self._names, strict=True):
            parameters = route.match(path)
            if parameters is None:
                continue
            if route.takes(method):
                return Match(route.rule, name, parameters)
            others |= route.methods
        if others and self.default.denied:
            return Match(self.default, "default", allow=tuple(sorted(others)))
        if any(pattern.match(path) and route.takes(method) for route, pattern in self._any_case):
            # An application may not care about case. Then the default would be a way around the route.
            return Match(deny(), "default")
        return Match(self.default, "default")
