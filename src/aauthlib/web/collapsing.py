"""A person server that is an access server too, at one identifier (#ps-as-collapse).

The two roles stay what they are and ask each other as ever, with signatures and all checks; only, what one sends the
other is carried within the process, and each knows the other's keys and metadata. So a decision is one evaluation: no
request leaves the process, and no policy wants proof of who its own people are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.routing import BaseRoute

from ..access import AccessServer, Policy
from ..access.core import AUTH_TOKEN_PATH, REVOCATION_PATH
from ..access.notices import teller_of
from ..access.people import People
from ..accounts import Accounts
from ..discovery import TransportError
from ..effects import Clock, Effect, FindKey, FindMetadata, Send
from ..errors import AAuthError, ConfigurationError, NotFound
from ..http import Request, Response
from ..identifiers import server_identifier
from ..messages.metadata import dump_metadata
from ..messages.problems import error_response
from ..notifying import Notifier
from ..person.server import PersonServer
from ..store.access import SQLAccessStore
from ..store.access_people import SQLAccessPeople
from ..store.database import Database
from ..tokens import ACCESS_DWK, PERSON_DWK
from ..transport import AsyncWire
from .access import access_routes
from .access_pages import ACCESS_BASE, access_page_routes
from .person_pages.visit import keep_profile

__all__ = ["AccessPart", "AccessRole", "CollapsedWire", "open_access_part"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessRole:
    """How a person server is an access server too."""

    policy: Policy
    resources: Collection[str]
    """Those that have chosen this access server. Any other resource's token is for the person server alone."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """More of `AccessServer.open`: `trust`, `limits`, `settlement`, `on_decision`."""

    def check(self, *, dev: bool) -> None:
        """Raises `ConfigurationError` or `InvalidIdentifier`."""
        if not self.resources:
            raise ConfigurationError("Name the resources that this access server decides for.")
        for resource in self.resources:
            server_identifier(resource, dev=dev)


class CollapsedWire(AsyncWire):
    """A wire on which the two roles of one identifier reach each other without a network."""

    def __init__(self, wire: AsyncWire, issuer: str) -> None:
        super().__init__(wire.transport, wire.directory)
        self._wire, self._issuer = wire, issuer
        self.person: PersonServer | None = None
        self.access: AccessServer | None = None

    async def perform(self, effect: Effect) -> Any:
        """Within the process what is this server's own, on the wire everything else."""
        person, access = self.person, self.access
        if person is not None and access is not None:
            match effect:
                case FindKey(issuer, dwk, kid) if issuer == self._issuer and dwk in (PERSON_DWK, ACCESS_DWK):
                    return (access if dwk == ACCESS_DWK else person).jwks().find(kid)
                case FindMetadata(issuer, dwk) if issuer == self._issuer and dwk == ACCESS_DWK:
                    return dump_metadata(access.metadata())
                case Send(request) if request.url.startswith(access.root + "/"):
                    return await _within(access, request, effect.timeout_s)
        return await self._wire.perform(effect)


async def _within(access: AccessServer, request: Request, timeout_s: float) -> Response:
    """What the access server answers. Raises `TransportError` when it takes too long."""
    try:
        return await asyncio.wait_for(_answer(access, request), timeout_s)
    except TimeoutError:
        raise TransportError("This server's own access server took too long to answer.") from None
    except AAuthError as error:
        return error_response(error)


async def _answer(access: AccessServer, request: Request) -> Response:
    path = request.path.removeprefix(ACCESS_BASE)
    pending_id = path.removeprefix("/pending/") if path.startswith("/pending/") else ""
    match request.method:
        case "POST" if path == AUTH_TOKEN_PATH:
            return await access.auth_token(request)
        case "POST" if path == REVOCATION_PATH:
            return await access.revoke(request)
        case "GET" if pending_id:
            return await access.poll(request, pending_id)
        case "POST" if pending_id:
            return await access.answer(request, pending_id)
        case "DELETE" if pending_id:
            return await access.cancel(request, pending_id)
    raise NotFound("There is nothing at this address.")


@dataclass(frozen=True, slots=True)
class AccessPart:
    """The access server in a person server's app."""

    server: AccessServer
    people: People
    invitation: str | None = field(repr=False)
    """As `AccessApp.invitation`."""
    routes: list[BaseRoute] = field(repr=False)


async def open_access_part(
    role: AccessRole,
    *,
    person: PersonServer,
    accounts: Accounts,
    database: Database,
    wire: CollapsedWire,
    clock: Clock,
    dev: bool,
    name: str | None,
    setup_code: str | None,
    notifier: Notifier,
) -> AccessPart:
    """The access server at the identifier of `person`, with the same accounts and database.

    `notifier` tells what waits at both.
    """
    server = await AccessServer.open(
        issuer=person.issuer,
        store=SQLAccessStore(database),
        wire=wire,
        policy=role.policy,
        clock=clock,
        dev=dev,
        name=name,
        base=ACCESS_BASE,
        resources=role.resources,
        replay=person.replay,
        interactive=True,
        person_of=lambda resource, sub: person.store.person_of(resource=resource, sub=sub),
        **role.settings,
    )
    wire.person, wire.access = person, server
    people = People(SQLAccessPeople(database), accounts=accounts, server=server, clock=clock)
    notifier.also(teller_of(server, people))
    pages = access_page_routes(
        server,
        accounts,
        people,
        notifier=notifier,
        clock=clock,
        dev=dev,
        setup_code=setup_code,
        base=ACCESS_BASE,
        session_cookie="aauth-person",
        on_made=lambda account: keep_profile(person, account),
    )
    return AccessPart(server, people, await people.start(), [*access_routes(server), *pages])
