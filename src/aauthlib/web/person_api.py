"""The person server's protocol endpoints over ASGI (#ps-metadata, #deferred-responses). Only translates.

The pages people see are in `person_pages`.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from starlette.routing import BaseRoute, Route

from ..http import Fields, Request, Response
from ..messages.metadata import dump_metadata
from ..messages.missions import MAX_AUDIT_BYTES
from ..person.core import (
    AUDIT_PATH,
    AUTH_TOKEN_PATH,
    INTERACTION_PATH,
    JWKS_PATH,
    MISSION_PATH,
    PERMISSION_PATH,
    PERSON_TOKEN_PATH,
    REVOCATION_PATH,
)
from ..person.server import PersonServer
from ..store.keyring import KEY_SET_MAX_AGE_S
from ..tokens import PERSON_DWK
from .asgi import ASGIApp, Receive, Scope, Send, endpoint

__all__ = ["person_routes"]


def person_routes(server: PersonServer) -> list[BaseRoute]:
    """Routes of `server`, to be served at the root of its issuer."""

    async def metadata(request: Request) -> Response:
        return _document(dump_metadata(server.metadata()))

    async def jwks(request: Request) -> Response:
        await server.refresh_keys()
        return _document(server.jwks().to_document())

    issuer = server.issuer
    apps = {
        f"/.well-known/{PERSON_DWK}": endpoint(issuer, GET=metadata),
        JWKS_PATH: endpoint(issuer, GET=jwks),
        PERSON_TOKEN_PATH: endpoint(issuer, POST=server.person_token),
        AUTH_TOKEN_PATH: endpoint(issuer, POST=server.auth_token),
        REVOCATION_PATH: endpoint(issuer, POST=server.revoke),
        MISSION_PATH: endpoint(issuer, POST=server.propose_mission),
        MISSION_PATH + "/{mission_s256}": endpoint(issuer, POST=server.act_on_mission),
        PERMISSION_PATH: endpoint(issuer, POST=server.permission),
        AUDIT_PATH: endpoint(issuer, max_body_bytes=MAX_AUDIT_BYTES, POST=server.audit),
        INTERACTION_PATH: endpoint(issuer, POST=server.interaction),
        "/pending/{pending_id}": endpoint(issuer, GET=server.poll, DELETE=server.cancel, POST=server.answer),
    }
    return [Route(path, _Whole(app)) for path, app in apps.items()]


class _Whole:
    """An app that gets every method: a router that chose by method would answer `405` in a form of its own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


def _document(document: Mapping[str, object]) -> Response:
    """A public JSON document, for programs in browsers too."""
    headers = {
        "content-type": "application/json",
        "cache-control": f"public, max-age={KEY_SET_MAX_AGE_S}",
        "access-control-allow-origin": "*",
    }
    return Response(200, Fields(headers), msgspec.json.encode(document))
