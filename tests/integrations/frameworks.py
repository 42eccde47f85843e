"""The same resource in Flask and in Django, under WSGI and under ASGI: one set of endpoints."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from types import ModuleType
from typing import Any
from urllib.parse import unquote

import django
import flask
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler, ASGIRequest
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path

from aauthlib.http import Fields, Request, Response
from aauthlib.integrations import django as ours
from aauthlib.integrations.flask import AAuth
from aauthlib.resource import anonymous, authorized, identified, managed, person, pseudonym
from tests.resource.world import AGENT, World, call

__all__ = ["KINDS", "call_wsgi", "install"]

KINDS = ("flask", "django-wsgi", "django-asgi")

served: list[Any] = []


def _what(request: HttpRequest) -> Any:
    return request.aauth  # type: ignore[attr-defined]


# ------------------------------------------------------------------------- Flask


def flask_app(world: World) -> flask.Flask:
    app = flask.Flask("tested")
    aauth = AAuth(app, resource=world.resource, max_body_bytes=4096)

    @app.get("/open")
    def read_open() -> Any:
        return {"grant": flask.request.environ["aauth"] is not None}

    @app.get("/counted")
    @aauth.requires(anonymous(limit="2/minute"))
    def counted() -> Any:
        return {"level": aauth.grant.level.name}

    @app.get("/hello")
    @aauth.requires(pseudonym())
    async def hello() -> Any:  # an asynchronous view
        return {"pseudonym": aauth.grant.pseudonym}

    @app.get("/team")
    @aauth.requires(identified(allow=[AGENT]))
    @aauth.requires(pseudonym())
    def team() -> Any:
        return {"agent": aauth.grant.agent and aauth.grant.agent[1]}

    @app.get("/me")
    @aauth.requires(person())
    def me() -> Any:
        return {"sub": aauth.grant.person and aauth.grant.person[1]}

    @app.get("/calendar/<account>")
    @aauth.requires(authorized("calendar.read", account="account"))
    def calendar(account: str) -> Any:
        return {"account": account, "scope": sorted(aauth.grant.scope)}

    @app.post("/events")
    @aauth.requires(authorized("calendar.write", delivery="202"))
    def create() -> Any:
        served.append((flask.request.get_json()["title"], aauth.grant))
        response = flask.jsonify({"created": flask.request.get_json()["title"]})
        response.set_cookie("seen", "yes")
        return response, 201

    @app.get("/managed")
    @aauth.requires(managed("calendar.read"))
    def session() -> Any:
        return {"user": aauth.grant.user}

    @app.post("/echo")
    def echo() -> Any:
        return flask.request.get_data()

    @app.get("/stream")
    @aauth.requires(pseudonym())
    def stream() -> Any:
        return (str(number) for number in range(3))

    @app.get("/broken")
    @aauth.requires(pseudonym())
    def broken() -> Any:
        raise KeyError("the application's own affair")

    @app.get("/undeclared")
    def undeclared() -> Any:
        return {"grant": aauth.grant.level.name}

    return app


# ------------------------------------------------------------------------- Django


def _open(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"grant": hasattr(request, "aauth")})


@ours.requires(anonymous(limit="2/minute"))
def _counted(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"level": _what(request).level.name})


@ours.requires(pseudonym())
async def _hello(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"pseudonym": _what(request).pseudonym})


@ours.requires(identified(allow=[AGENT]))
@ours.requires(pseudonym())
def _team(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"agent": _what(request).agent[1]})


@ours.requires(person())
def _me(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"sub": _what(request).person[1]})


@ours.requires(authorized("calendar.read", account="account"))
async def _calendar(request: HttpRequest, account: str) -> HttpResponse:
    return JsonResponse({"account": account, "scope": sorted(_what(request).scope)})


@ours.requires(authorized("calendar.write", delivery="202"))
def _create(request: HttpRequest) -> HttpResponse:
    title = json.loads(request.body)["title"]
    served.append((title, _what(request)))
    response = JsonResponse({"created": title}, status=201)
    response.set_cookie("seen", "yes")
    return response


@ours.requires(managed("calendar.read"))
def _managed(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"user": _what(request).user})


def _echo(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.body)


@ours.requires(pseudonym())
def _stream(request: HttpRequest) -> StreamingHttpResponse:
    async def later() -> Any:
        for number in range(3):
            yield str(number)

    chunks = (str(number) for number in range(3))
    return StreamingHttpResponse(later() if isinstance(request, ASGIRequest) else chunks)


@ours.requires(pseudonym())
def _broken(request: HttpRequest) -> HttpResponse:
    raise KeyError("the application's own affair")


def _django(world: World, **options: Any) -> None:
    if not settings.configured:
        urls = ModuleType("aauthlib_tested_urls")
        urls.urlpatterns = [  # type: ignore[attr-defined]
            path("open", _open),
            path("counted", _counted),
            path("hello", _hello),
            path("team", _team),
            path("me", _me),
            path("calendar/<account>", _calendar),
            path("events", _create),
            path("managed", _managed),
            path("echo", _echo),
            path("stream", _stream),
            path("broken", _broken),
        ]
        sys.modules[urls.__name__] = urls
        settings.configure(
            ROOT_URLCONF=urls.__name__,
            SECRET_KEY="of the tests",
            ALLOWED_HOSTS=["*"],
            MIDDLEWARE=["aauthlib.integrations.django.AAuthMiddleware"],
            LOGGING_CONFIG=None,
            USE_TZ=True,
        )
        django.setup()
    settings.AAUTH = {"resource": world.resource, "max_body_bytes": 4096, **options}
    ours._settings.cache_clear()


def install(kind: str, world: World, **options: Any) -> Any:
    """The application of `kind` around the world's resource, called by `world.call` from now on."""
    served.clear()
    if kind == "flask":
        app: Any = flask_app(world)
        _by_wsgi(world, app)
    else:
        _django(world, **options)
        app = WSGIHandler() if kind == "django-wsgi" else ASGIHandler()
        if kind == "django-wsgi":
            _by_wsgi(world, app)
        else:
            _by_asgi(world, app)
    return app


def _by_wsgi(world: World, app: Any) -> None:
    async def called(request: Request, *, client: str = "192.0.2.1", **_: Any) -> Response:
        return await asyncio.to_thread(call_wsgi, app, request, client=client)

    world.call = called  # type: ignore[method-assign]


def _by_asgi(world: World, app: Any) -> None:
    async def staying(scope: Any, receive: Any, send: Any) -> None:
        async def staying_receive() -> Any:
            message = await receive()
            if message["type"] == "http.disconnect":
                await asyncio.Event().wait()
            return message

        await app(scope, staying_receive, send)

    async def called(request: Request, *, client: str = "192.0.2.1", **scope: Any) -> Response:
        return await call(staying, request, client=client, **scope)

    world.call = called  # type: ignore[method-assign]


def call_wsgi(app: Any, request: Request, *, client: str = "192.0.2.1", raw: bool = True) -> Response:
    """Drive a WSGI application in process, as a server would."""
    target = request.target
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote(request.path, encoding="latin-1"),
        "QUERY_STRING": request.query or "",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": client,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(request.body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        **({"RAW_URI": target} if raw else {}),
    }
    if request.body:
        environ["CONTENT_LENGTH"] = str(len(request.body))
    for name, value in request.headers:
        variable = name.upper().replace("-", "_")
        environ[variable if variable in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{variable}"] = value
    said: list[Any] = []
    written: list[bytes] = []

    def start(status: str, headers: Any, exc_info: Any = None) -> Any:
        said[:] = [int(status[:3]), headers]
        return written.append

    chunks = app(environ, start)
    try:
        written.extend(chunks)
    finally:
        getattr(chunks, "close", lambda: None)()
    return Response(said[0], Fields(said[1]), b"".join(written))


@contextmanager
def quiet(name: str) -> Iterator[None]:
    """Without what `name` logs."""
    import logging

    logger = logging.getLogger(name)
    before = logger.disabled
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = before
