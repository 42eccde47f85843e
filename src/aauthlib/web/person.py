"""A complete person server as one ASGI app: the protocol endpoints and the pages (#person-server).

Opening it is asynchronous and belongs in the event loop that serves it: database connections do. The app closes what
was opened when its lifespan ends.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette

from ..accounts import Accounts
from ..accounts.passwords import Passwords
from ..effects import Clock
from ..identifiers import server_identifier
from ..notifying import NOTIFY_EVERY_S, Channel, Notifier
from ..person.notifications import notifier_of
from ..person.openid_sign_in import OpenIDSignIn
from ..person.organisation_settings import OrganisationSettings, check_organisations
from ..person.organisations import Organisations
from ..person.policy import PersonPolicy
from ..person.server import PersonServer
from ..store.access_people import SQLAccessPeople
from ..store.accounts import SQLAccountStore
from ..store.database import Database
from ..store.organisations import SQLOrganisationStore
from ..store.person import SQLPersonStore
from ..store.replays import replay_cache_of_server
from ..transport import AsyncWire
from ..transport.telling import telling
from .account_pages.site import new_setup_code
from .asgi import ASGIApp, Receive, Scope, Send
from .collapsing import AccessPart, AccessRole, CollapsedWire, open_access_part
from .person_api import person_routes
from .person_pages import person_page_routes

__all__ = ["PersonApp", "build_person_app"]

#: How often deadlines of approvers, and a changed policy, are looked at; in seconds.
_LOOK_EVERY_S = 5.0


@dataclass(frozen=True, slots=True)
class PersonApp:
    """The app, and what whoever started it must know."""

    server: PersonServer
    accounts: Accounts
    notifier: Notifier
    organisations: Organisations
    database: Database = field(repr=False)
    wire: AsyncWire = field(repr=False)
    setup_code: str | None = field(repr=False)
    """Print this where the server was started: who makes the first account must type it. `None` when it is not needed,
    since there is an account or only this machine can reach the server."""
    invitations: Mapping[str, str] = field(repr=False)
    """By tenant: what makes whoever opens `/join/{...}` the first administrator of an organisation that has none."""
    access: AccessPart | None
    """The access server that this server is too."""
    _asgi: ASGIApp = field(repr=False)
    _closing: AsyncExitStack = field(repr=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._asgi(scope, receive, send)

    async def aclose(self) -> None:
        """Close the database and the connections; the end of the app's lifespan does it too."""
        await self._closing.aclose()


async def build_person_app(
    database_url: str,
    issuer: str,
    *,
    dev: bool = False,
    name: str | None = None,
    clock: Clock = time.time,
    wire: AsyncWire | None = None,
    passwords: Passwords | None = None,
    setup_code_required: bool | None = None,
    organisations: Mapping[str, OrganisationSettings] | None = None,
    random_below: Callable[[int], int] = secrets.randbelow,
    channels: Iterable[Channel] = (),
    replay_url: str | None = None,
    access: AccessRole | None = None,
    policy: PersonPolicy | None = None,
    **server_options: Any,
) -> PersonApp:
    """Open the person server `issuer` on `database_url`.

    `dev` is the development profile. `setup_code_required` asks whoever makes the first account for the code this
    process prints; by default everywhere but in the development profile, which only this machine reaches.
    `organisations` are those of its people, by tenant. `channels` are what people can be told by beside their browsers;
    while the app's lifespan lasts it tells them. `replay_url` is where received requests are remembered
    (`store.replays.open_replay_cache`), by default `database_url`. `access` makes it an access server too, for the
    resources it names (#ps-as-collapse). `policy` decides about requests before and beside the person, such as
    `PersonPolicyFile`; while the lifespan lasts, deadlines of approvers are kept. `server_options` go to
    `PersonServer.open`. Raises `InvalidIdentifier` or `ConfigurationError`.
    """
    server_identifier(issuer, dev=dev)
    async with AsyncExitStack() as opening:
        database = await Database.open(database_url)
        opening.push_async_callback(database.close)
        replay = await replay_cache_of_server(replay_url, database, opening, given=server_options.pop("replay", None))
        carrier = wire if wire is not None else AsyncWire.open(dev=dev, clock=clock)
        within = None
        if access is not None:
            access.check(dev=dev)
            within = CollapsedWire(carrier, issuer)
            server_options["access_resources"] = access.resources
        store = SQLPersonStore(database)
        server = await PersonServer.open(
            issuer=issuer,
            store=store,
            wire=within or carrier,
            clock=clock,
            dev=dev,
            name=name,
            replay=replay,
            rules=policy,
            **server_options,
        )
        # With an access server the first account administers it too.
        account_store = SQLAccountStore(database) if access is None else SQLAccessPeople(database)
        accounts = Accounts(account_store, issuer=issuer, clock=clock, passwords=passwords)
        check_organisations(organisations or {}, dev=dev)
        tenants = Organisations(
            SQLOrganisationStore(database), organisations or {}, accounts=accounts, server=server, clock=clock
        )
        invitations = await tenants.start()
        providers = OpenIDSignIn(
            SQLAccountStore(database), accounts, tenants, issuer=issuer, wire=carrier, clock=clock, dev=dev
        )
        required = (not dev) if setup_code_required is None else setup_code_required
        setup_code = await new_setup_code(accounts, required=required, random_below=random_below)
        notifier = notifier_of(server, store, channels=channels, clock=clock, random_below=random_below)
        part = None
        if access is not None and within is not None:
            part = await open_access_part(
                access,
                person=server,
                accounts=accounts,
                database=database,
                wire=within,
                clock=clock,
                dev=dev,
                name=name,
                setup_code=setup_code,
                notifier=notifier,
            )
            opening.push_async_callback(part.server.aclose)
        opening.push_async_callback(carrier.aclose)
        opening.push_async_callback(server.aclose)
        closing = opening.pop_all()

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as loops:
            await loops.enter_async_context(telling(server.tell_again))
            await loops.enter_async_context(telling(notifier.send_due, every_s=NOTIFY_EVERY_S))
            if policy is not None:
                await loops.enter_async_context(telling(server.look_at_approvals, every_s=_LOOK_EVERY_S))
            if part is not None:
                await loops.enter_async_context(telling(part.server.tell_again))
                await loops.enter_async_context(telling(part.server.settle_approvals))
            yield
        await closing.aclose()

    pages = person_page_routes(
        server,
        accounts,
        tenants,
        providers,
        notifier,
        clock=clock,
        dev=dev,
        setup_code=setup_code,
        access_people=part.people if part is not None else None,
    )
    # The person server's last route takes whatever is left.
    asgi = Starlette(routes=[*person_routes(server), *(part.routes if part else ()), *pages], lifespan=lifespan)
    # Redirects to add or drop a slash would be built from the Host header.
    asgi.router.redirect_slashes = False
    return PersonApp(
        server, accounts, notifier, tenants, database, carrier, setup_code, invitations, part, asgi, closing
    )
