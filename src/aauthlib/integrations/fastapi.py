"""FastAPI: dependencies that give an endpoint its verified caller, or challenge it.

    aauth = AAuth(app, issuer="https://api.example", scopes={"calendar.read": "See your events."})


    @app.get("/calendar")
    async def calendar(grant: Grant = aauth.authorized("calendar.read")): ...

Also as `Annotated[Grant, aauth.person()]`, and for a whole router as `APIRouter(dependencies=[aauth.identified()])`.
What was proved is decided once per request; several dependencies of one endpoint all have to be satisfied.

The OpenAPI document states at each operation what it asks for, as `x-aauth-access-mode` (AAuth Rich Resource Requests,
#operation-access-annotations). It has no security scheme: OpenAPI has none that fits, and tools would act on a wrong
one, so that document asks for an extension instead.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from fastapi import Depends, FastAPI, Request
from fastapi.openapi.models import HTTPBase
from fastapi.security.base import SecurityBase

from ..resource import (
    AccessRule,
    Grant,
    Limit,
    anonymous,
    authorized,
    identified,
    managed,
    person,
    pseudonym,
)
from ..resource.policy import Delivery
from ..verification import Level
from . import starlette

__all__ = ["AAuth", "Grant"]

#: `access_mode` of an operation (#resource-metadata). A pseudonym and a managed session have no value of their own.
_ACCESS_MODES = {Level.IDENTIFIED: "agent-token", Level.PERSON: "person-token", Level.AUTHORIZED: "auth-token"}
_PREFIX = "aauth "


class AAuth(starlette.AAuth):
    """Makes a FastAPI application an AAuth resource; the settings are those of `integrations.starlette.AAuth`.

    Each method returns a dependency whose value is the `Grant`. They raise `ConfigurationError` when the resource was
    not set up for what they ask.
    """

    def install(self, app: Any) -> None:
        """Put this resource in front of `app`, and what its operations ask for into the OpenAPI document."""
        super().install(app)
        if isinstance(app, FastAPI):
            app.openapi = _annotated(app.openapi)  # type: ignore[method-assign]

    def anonymous(self, *, limit: str | Limit | None = None, signed_limit: str | Limit | None = None) -> Any:
        """As `resource.anonymous`: anybody, counted."""
        return self.depends(anonymous(limit=limit, signed_limit=signed_limit))

    def pseudonym(self, *, limit: str | Limit | None = None) -> Any:
        """As `resource.pseudonym`: the same key again."""
        return self.depends(pseudonym(limit=limit))

    def identified(self, *, allow: Collection[str] | None = None, limit: str | Limit | None = None) -> Any:
        """As `resource.identified`: which agent."""
        return self.depends(identified(allow=allow, limit=limit))

    def person(self, *, limit: str | Limit | None = None) -> Any:
        """As `resource.person`: for whom it acts."""
        return self.depends(person(limit=limit))

    def authorized(
        self,
        *scopes: str,
        delivery: Delivery = "401",
        account: str | None = None,
        limit: str | Limit | None = None,
    ) -> Any:
        """As `resource.authorized`: an auth token with these scopes."""
        return self.depends(authorized(*scopes, delivery=delivery, account=account, limit=limit))

    def managed(self, *scopes: str, limit: str | Limit | None = None) -> Any:
        """As `resource.managed`: a session from this resource's own page."""
        return self.depends(managed(*scopes, limit=limit))

    def depends(self, rule: AccessRule) -> Any:
        """The dependency for any rule."""
        self.resource.check_rule(rule)
        return Depends(_Requirement(self, rule))


class _Requirement(SecurityBase):
    """The callable behind a dependency. As a `SecurityBase` it is found by what writes the OpenAPI document."""

    def __init__(self, aauth: AAuth, rule: AccessRule) -> None:
        self._aauth = aauth
        self._rule = rule
        mode = None if rule.session else _ACCESS_MODES.get(rule.level)
        self.scheme_name = _PREFIX + (mode or "")
        self.model = HTTPBase(scheme="aauth")

    async def __call__(self, request: Request) -> Grant:
        return await self._aauth.check(request, self._rule)


def _annotated(openapi: Callable[[], dict[str, Any]]) -> Callable[[], dict[str, Any]]:
    """`app.openapi` with an extension where FastAPI put the name of a `_Requirement` as a security scheme."""
    done: list[dict[str, Any]] = []

    def annotated() -> dict[str, Any]:
        document = openapi()
        if not any(document is known for known in done):
            _annotate(document)
            done[:] = [document]
        return document

    return annotated


def _annotate(document: dict[str, Any]) -> None:
    schemes = document.get("components", {}).get("securitySchemes", {})
    for name in [name for name in schemes if name.startswith(_PREFIX)]:
        del schemes[name]
    if not schemes:
        document.get("components", {}).pop("securitySchemes", None)
    if not document.get("components", True):
        del document["components"]
    order = list(_ACCESS_MODES.values())
    for path in document.get("paths", {}).values():
        for operation in path.values():
            security = operation.get("security") if isinstance(operation, Mapping) else None
            if security is None:
                continue
            names = [name for requirement in security for name in requirement]
            modes = [name.removeprefix(_PREFIX) for name in names if name.startswith(_PREFIX)]
            left = [requirement for requirement in security if not any(n.startswith(_PREFIX) for n in requirement)]
            if left:
                operation["security"] = left
            else:
                del operation["security"]
            known = [mode for mode in modes if mode in order]
            if known:
                operation["x-aauth-access-mode"] = max(known, key=order.index)
