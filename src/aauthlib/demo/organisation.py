"""The demo's organisation: an API whose access server, not the person server, has the last word.

The rules are ordinary ones: anybody's agent may read the expense reports of the person it acts for; nobody's agent
reads salaries. The person still consents first, and the access server still decides (#ps-as-federation).
"""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route as StarletteRoute

from ..access import RulesPolicy
from ..resource import Policy, Route, authorized

__all__ = ["EXPENSES_SCOPES", "access_policy", "expenses_app", "expenses_policy"]

EXPENSES_SCOPES = {
    "expenses.read": "See your expense reports.",
    "salaries.read": "See everybody's salary.",
}

_RULES = """
version = "demo"

[[rule]]
name = "expense reports of the person themselves"
decision = "allow"
[rule.when]
scope = ["expenses.read"]

[[rule]]
name = "salaries are not for agents"
decision = "deny"
reason = "No agent reads salaries here."
"""


def access_policy() -> RulesPolicy:
    """The organisation's rules."""
    return RulesPolicy.read(_RULES)


def expenses_policy() -> Policy:
    """Who may call what at the API."""
    return Policy(
        [
            Route("GET", "/reports", authorized("expenses.read")),
            Route("GET", "/salaries", authorized("salaries.read")),
        ]
    )


def expenses_app() -> Starlette:
    """The API."""

    async def reports(request: Request) -> Response:
        return JSONResponse([{"month": "2026-11", "total": "412.90"}])

    async def salaries(request: Request) -> Response:
        return JSONResponse([{"who": "everybody", "salary": "secret"}])

    return Starlette(routes=[StarletteRoute("/reports", reports), StarletteRoute("/salaries", salaries)])
