"""Django: a middleware, and views that say themselves what they ask of their caller.

In the settings:

    MIDDLEWARE = ["aauthlib.integrations.django.AAuthMiddleware", ...]
    AAUTH = {"issuer": "https://api.example", "scopes": {"calendar.read": "See your events."}}

and then:

    @requires(authorized("calendar.read"))
    def calendar(request):
        return JsonResponse({"for": request.aauth.person})

`AAUTH` takes the settings of `integrations.starlette.AAuth`, or a whole `Resource` as `resource`, also by its dotted
path. With a `policy` in it the middleware itself decides and refuses what the policy does not name; without one, a view
that declares nothing is open to anybody and has no `request.aauth`. Works under WSGI and under ASGI, with views of both
kinds. Put it first: what stands before it runs before it is known who calls.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Mapping
from typing import Any, cast

import anyio.to_thread
from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.core.handlers.asgi import ASGIRequest
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.module_loading import import_string

from ..errors import AAuthError, ConfigurationError
from ..http import Fields, Response
from ..resource import AccessRule, Grant, Resource, refusal
from ..web import resource as web
from ..web.asgi import ASGIApp, BodyTooLarge, Scope
from .crossing import Across, Admitted, LoopThread
from .endpoints import Front, Refused, admit, resource_from
from .wsgi_resource import addresses, environ_of, scope_of

__all__ = ["AAuthMiddleware", "requires", "resource"]

_SCOPE = "_aauth_scope"
_View = Callable[..., Any]
_loop = LoopThread()


class _Settings:
    """`settings.AAUTH`, read once."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        options = dict(given)
        for name in ("resource", "policy", "client_address", "store", "sign_in", "account_holder", "signing_key"):
            if isinstance(options.get(name), str):
                options[name] = import_string(options[name])
        self.policy = options.pop("policy", None)
        self.max_body_bytes: int = options.pop("max_body_bytes", web.MAX_HELD_BODY_BYTES)
        self._middleware = {
            "max_body_bytes": self.max_body_bytes,
            "client_address": addresses(options.pop("client_address", None)),
            "page_secret": options.pop("page_secret", None),
        }
        self.resource: Resource = resource_from(
            options.pop("resource", None), options.pop("issuer", None), options.pop("dev", False), options
        )

    def front(self, app: ASGIApp) -> ASGIApp:
        if self.policy is not None:
            return web.AAuthMiddleware(app, self.resource, self.policy, **self._middleware)
        return Front(app, self.resource, **self._middleware)


@functools.lru_cache(maxsize=1)
def _settings() -> _Settings:
    given = getattr(settings, "AAUTH", None)
    if not isinstance(given, Mapping):
        raise ConfigurationError('Set AAUTH in the settings, such as AAUTH = {"issuer": "https://api.example"}.')
    return _Settings(given)


def resource() -> Resource:
    """The resource that `settings.AAUTH` describes. Raises `ConfigurationError` for settings that cannot work."""
    return _settings().resource


class AAuthMiddleware:
    """Serves the protocol's own paths and verifies who calls; see the module."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self._get_response = get_response
        self._settings = _settings()
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)
        self._across = Across(self._settings.resource, self._settings.front, self._held)

    def __call__(self, request: HttpRequest) -> Any:
        if self._is_async:
            return self._acall(request)
        try:
            entered = _loop.run(self._enter(request))
        except AAuthError as error:
            return self._refused(error)
        if isinstance(entered, Response):
            return _django(entered)
        self._admit(request, entered)
        try:
            response: HttpResponseBase = self._get_response(request)
        except BaseException:
            _loop.run(entered.abandon())
            raise
        return _seal(response, _loop.run(entered.head(response.status_code, _fields(response))))

    async def _acall(self, request: HttpRequest) -> HttpResponseBase:
        try:
            entered = await _await(self._enter(request))
        except AAuthError as error:
            return self._refused(error)
        if isinstance(entered, Response):
            return _django(entered)
        self._admit(request, entered)
        try:
            response: HttpResponseBase = await self._get_response(request)
        except BaseException:
            await _await(entered.abandon())
            raise
        return _seal(response, await _await(entered.head(response.status_code, _fields(response))))

    async def _enter(self, request: HttpRequest) -> Response | Admitted:
        return await self._across.enter(_scope(request), lambda: _read(request))

    def _refused(self, error: AAuthError) -> HttpResponse:
        return _django(refusal(error, self._settings.resource.signature))

    @staticmethod
    def _admit(request: HttpRequest, admitted: Admitted) -> None:
        setattr(request, _SCOPE, admitted.scope)
        if isinstance(grant := admitted.scope.get("aauth"), Grant):
            request.aauth = grant

    async def _held(self, scope: Scope, body: bytes) -> Response:
        """Carry out a held invocation: what the middleware stands in front of, with a request of its own."""
        request = WSGIRequest(environ_of(scope, body))
        self._admit(request, Admitted(scope, None, cast("Any", None)))
        if self._is_async:
            response = await self._get_response(request)
        else:
            response = await anyio.to_thread.run_sync(self._get_response, request)
        if response.streaming:
            limit, chunks, size = self._settings.resource.held_policy.max_result_bytes, [], 0
            async for chunk in _chunks(response):
                chunks.append(chunk)
                size += len(chunk)
                if size > limit:
                    break  # more than what is kept of a held invocation; the middleware says so
            content = b"".join(chunks)
        else:
            content = response.content
        response.close()
        cookies = [("set-cookie", morsel.OutputString()) for morsel in response.cookies.values()]
        return Response(response.status_code, Fields([*_fields(response), *cookies]), content)


def requires(rule: AccessRule) -> Callable[[_View], _View]:
    """A decorator of views, synchronous or not: only who satisfies `rule` gets in; `request.aauth` is the `Grant`.

    For a view that is a class use `method_decorator(requires(...), name="dispatch")`. Raises `ConfigurationError` when
    the first request comes, if the resource was not set up for what the rule asks.
    """

    def decorate(view: _View) -> _View:
        name = f"{view.__module__}.{view.__qualname__}"

        if iscoroutinefunction(view):

            @functools.wraps(view)
            async def awaited(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
                try:
                    request.aauth = await _await(_check(request, rule, name, kwargs))
                except Refused as refused:
                    return _django(refused.response)
                return await view(request, *args, **kwargs)

            return awaited

        @functools.wraps(view)
        def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            try:
                request.aauth = _loop.run(_check(request, rule, name, kwargs))
            except Refused as refused:
                return _django(refused.response)
            return view(request, *args, **kwargs)

        return checked

    return decorate


async def _check(request: HttpRequest, rule: AccessRule, name: str, parameters: Mapping[str, Any]) -> Grant:
    resource().check_rule(rule)

    async def read_body() -> bytes:
        return await anyio.to_thread.run_sync(_read, request)

    return await admit(
        resource(),
        getattr(request, _SCOPE, {}),
        rule,
        name=f"{request.method} {name}",
        parameters={key: str(value) for key, value in parameters.items()},
        read_body=read_body,
    )


async def _await(work: Any) -> Any:
    """Wait on Django's loop for what runs on ours."""
    return await asyncio.wrap_future(_loop.begin(work))


def _scope(request: HttpRequest) -> Scope:
    if isinstance(request, ASGIRequest):
        return {**request.scope, "aauth.request": request}
    return {**scope_of(cast("WSGIRequest", request).environ), "aauth.request": request}


def _read(request: HttpRequest) -> bytes:
    try:
        return bytes(request.body)
    except RequestDataTooBig as error:
        raise BodyTooLarge("The request body is larger than DATA_UPLOAD_MAX_MEMORY_SIZE.") from error


def _fields(response: HttpResponseBase) -> list[tuple[str, str]]:
    """The header fields of a response, without its cookies, which Django keeps apart."""
    return [(name.lower(), value) for name, value in response.items()]


def _seal(response: HttpResponseBase, fields: list[tuple[str, str]]) -> HttpResponseBase:
    for name, value in Fields(fields):
        response[name] = value
    return response


def _django(found: Response) -> HttpResponse:
    response = HttpResponse(found.body, status=found.status)
    for name in dict.fromkeys(name for name, _ in found.headers):
        if name == "set-cookie":
            for value in found.headers.get_all(name):
                response.cookies.load(value)
        else:
            response[name] = found.headers.get(name)
    return response


async def _chunks(response: Any) -> Any:
    if response.is_async:
        async for chunk in response.streaming_content:
            yield chunk
    else:
        for chunk in await sync_to_async(lambda: list(response.streaming_content))():
            yield chunk
