"""The resource's own interaction page (#resource-managed-auth, #user-interaction, #interaction-code-format).

Plain HTML rendered here, no JavaScript, no template engine, so that the core install can serve it. The page decides
nothing: who may approve, and where the browser may go afterwards, is `resource.interaction`'s business.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import unicodedata
from base64 import b64encode
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from html import escape
from typing import Any, Protocol
from urllib.parse import parse_qs, quote, urlencode

from ..base64url import b64url_decode, b64url_encode
from ..effects import Clock
from ..errors import AAuthError, ConfigurationError, Expired, InvalidCode, NotFound, ProblemError
from ..http import Fields, Request, Response
from ..identifiers import origin_of
from ..resource import InteractionView, Limit, RateLimiter

__all__ = ["InteractionPage", "PageHost", "Visit", "form_fields", "redirect", "shown_line"]

_VISIT_S = 1800.0
_MAX_FIELD_LENGTH = 2048
_MAX_COOKIE_LENGTH = 8192
_MAX_LINE_LENGTH = 300
_PER_USERNAME = Limit(10, 600.0)
_PER_INTERACTION = Limit(20, 600.0)
_PER_ADDRESS = Limit(60, 600.0)

_CSS = """
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#57606a;--ground:#f6f8fa;--card:#fff;--line:#d0d7de;--go:#0b6b3a;
--stop:#a4161a}
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--soft:#9da7b3;--ground:#0d1117;--card:#161b22;--line:#30363d;
--go:#1f7a47;--stop:#f26d6f}}
*{box-sizing:border-box}
body{margin:0;padding:1.5rem 1rem;background:var(--ground);color:var(--ink);font:1rem/1.5 system-ui,sans-serif}
main{max-width:32rem;margin:0 auto;padding:1.5rem;background:var(--card);border:1px solid var(--line);
border-radius:.75rem}
h1{font-size:1.4rem;line-height:1.25;margin:0 0 1rem}
h2{font-size:1rem;margin:1.5rem 0 .5rem}
label{display:block;margin:1rem 0 .25rem;font-weight:600}
input{width:100%;padding:.6rem;font:inherit;color:inherit;background:transparent;border:1px solid var(--soft);
border-radius:.4rem}
.code{font-family:ui-monospace,monospace;letter-spacing:.1em}
button{margin:1.25rem .75rem 0 0;padding:.65rem 1.25rem;font:inherit;font-weight:600;color:#fff;background:var(--go);
border:1px solid transparent;border-radius:.4rem;cursor:pointer}
button.no{color:var(--stop);background:transparent;border-color:var(--stop)}
:focus-visible{outline:3px solid #4493f8;outline-offset:2px}
dl{margin:0}dt{color:var(--soft);margin-top:.75rem}dd{margin:0;overflow-wrap:anywhere}
.alert{padding:.75rem;border:1px solid var(--stop);border-radius:.4rem}
.soft{color:var(--soft)}
"""
_CSS_HASH = b64encode(hashlib.sha256(_CSS.encode()).digest()).decode()


class _Named(Protocol):
    @property
    def name(self) -> str | None: ...


class PageHost(Protocol):
    """The server whose page this is: a `Resource`, or another role that has people sign in and decide."""

    @property
    def issuer(self) -> str: ...
    @property
    def prefix(self) -> str: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def limiter(self) -> RateLimiter: ...
    @property
    def sign_in(self) -> Callable[[str, str], Awaitable[str | None]] | None: ...
    @property
    def interactions(self) -> Any:
        """`view`, `check_code`, `arrive`, `approve`, `deny` and `callback`, as `resource.Interactions` has them."""

    def metadata(self) -> _Named: ...


@dataclass(frozen=True, slots=True)
class Visit:
    """What the page remembers of one browser at one interaction, in a signed cookie."""

    nonce: str
    expires_at: float
    user: str | None = None
    username: str = ""
    """What the person typed to sign in, shown to them again."""
    callback: str | None = None


class InteractionPage:
    """Serves `GET` and `POST` of one resource's interaction URLs.

    `secret` signs its cookies; give the same one to every process that serves the resource. Without it one is made
    that lasts as long as this process.
    """

    invitation = "An agent asks for access to your account here. Compare the code with the one your agent shows you."
    agreed = "The agent has access now."
    declined = "The agent gets no access."

    def __init__(
        self,
        resource: PageHost,
        *,
        secret: bytes | None = None,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        if secret is not None and len(secret) < 32:
            raise ConfigurationError("The page's secret needs at least 32 bytes.")
        self._resource = resource
        self._random_bytes = random_bytes
        self._secret = secret or random_bytes(32)
        self._secure = resource.issuer.startswith("https://")
        self._path = f"{resource.prefix}interaction/"

    # ---------------------------------------------------------------- requests

    async def get(self, request: Request, handle: str) -> Response:
        """The page: sign in with the code, or once arrived, decide."""
        query = form_fields(request.query or "")
        callback = await self._callback(handle, query.get("callback", ""))
        try:
            view = await self._resource.interactions.view(handle)
        except ProblemError as error:
            if callback is not None and isinstance(error, Expired):
                return redirect(_with_error(callback, "interaction_expired"))
            return self._message("This request is closed", error.detail, error.status)
        visit = self._visit(request, handle)
        if visit is not None and visit.user is not None and view.user == visit.user:
            return self._consent(view, visit)
        if view.user is not None:
            return self._message(
                "This code was used already", "The request is open in another browser. Finish it there.", 410
            )
        visit = Visit(b64url_encode(self._random_bytes(18)), self._resource.clock() + _VISIT_S, callback=callback)
        return self._entry(view.handle, visit, code=query.get("code", ""))

    async def post(self, request: Request, handle: str, *, client: str = "") -> Response:
        """A form of the page. Without the visit's cookie and the form's token nothing happens."""
        form = form_fields(request.body.decode("utf-8", "replace"))
        visit = self._visit(request, handle)
        if visit is None or not self._is_ours(request, visit, form.get("csrf", "")):
            return self._message("Please start again", "This form is no longer valid. Open the link once more.", 403)
        try:
            if form.get("action") in ("approve", "deny"):
                return await self._decide(handle, visit, approved=form["action"] == "approve")
            return await self._sign_in(handle, visit, form, client)
        except InvalidCode as error:
            return self._entry(handle, visit, username=form.get("username", ""), alert=error.detail, status=403)
        except ProblemError as error:
            return self._message("This request is closed", error.detail, error.status)

    async def _sign_in(self, handle: str, visit: Visit, form: dict[str, str], client: str) -> Response:
        username, code = form.get("username", ""), form.get("code", "")
        limiter = self._resource.limiter
        buckets = (
            (("sign-in", "user", username.casefold()), _PER_USERNAME),
            (("sign-in", "interaction", handle), _PER_INTERACTION),
            (("sign-in", "address", client), _PER_ADDRESS),
        )
        waits = [limiter.take(key, limit) for key, limit in buckets]
        if any(waits):
            return self._entry(handle, visit, code, username, "Too many attempts. Wait a few minutes.", 429)
        await self._resource.interactions.check_code(handle, code)
        sign_in = self._resource.sign_in
        user = await sign_in(username, form.get("password", "")) if sign_in is not None else None
        if user is None:
            return self._entry(handle, visit, code, username, "The user name or password is not right.", 403)
        await self._resource.interactions.arrive(handle, code, user)
        # A new nonce, so that nothing known before the sign-in is of use after it.
        arrived = replace(visit, nonce=b64url_encode(self._random_bytes(18)), user=user, username=username[:256])
        return redirect(self._path + handle, [self._cookie(handle, arrived)])

    async def _decide(self, handle: str, visit: Visit, *, approved: bool) -> Response:
        if visit.user is None:
            raise NotFound("Sign in first.")
        interactions = self._resource.interactions
        await (interactions.approve if approved else interactions.deny)(handle, visit.user)
        gone = [self._cookie(handle, None)]
        if visit.callback is not None:
            return redirect(visit.callback if approved else _with_error(visit.callback, "access_denied"), gone)
        text = self.agreed if approved else self.declined
        title = "Approved" if approved else "Declined"
        return self._message(title, f"{text} You can close this page and go back to your agent.", 200, gone)

    async def _callback(self, handle: str, value: str) -> str | None:
        if not value:
            return None
        try:
            checked: str | None = await self._resource.interactions.callback(handle, value)
            return checked
        except AAuthError:
            return None

    # ---------------------------------------------------------------- visits

    def _mac(self, purpose: str, text: str) -> str:
        return b64url_encode(hmac.new(self._secret, f"{purpose}:{text}".encode(), "sha256").digest())

    def _is_ours(self, request: Request, visit: Visit, token: str) -> bool:
        origin = request.headers.get("origin")
        if origin is not None and origin != self._resource.issuer:
            return False
        if request.headers.get("sec-fetch-site") not in (None, "same-origin", "none"):
            return False
        return hmac.compare_digest(self._mac("csrf", visit.nonce).encode(), token.encode("utf-8", "replace"))

    def _cookie_name(self, handle: str) -> str:
        # One for each interaction, so that two open at once do not disturb each other.
        name = f"aauth-{hashlib.sha256(handle.encode('utf-8', 'replace')).hexdigest()[:16]}"
        return f"__Secure-{name}" if self._secure else name

    def _cookie(self, handle: str, visit: Visit | None) -> tuple[str, str]:
        value, age = "", 0
        if visit is not None:
            fields = [handle, visit.nonce, visit.expires_at, visit.user, visit.username, visit.callback]
            payload = b64url_encode(json.dumps(fields).encode())
            value, age = f"{payload}.{self._mac('visit', payload)}", int(_VISIT_S)
        secure = "; Secure" if self._secure else ""
        name, path = self._cookie_name(handle), quote(self._path + handle)
        return ("set-cookie", f"{name}={value}; Path={path}; Max-Age={age}; HttpOnly; SameSite=Lax{secure}")

    def _visit(self, request: Request, handle: str) -> Visit | None:
        wanted = self._cookie_name(handle)
        for cookie in ";".join(request.headers.get_all("cookie")).split(";"):
            name, _, value = cookie.strip().partition("=")
            if name != wanted or len(value) > _MAX_COOKIE_LENGTH:
                continue
            payload, _, mac = value.partition(".")
            if not hmac.compare_digest(self._mac("visit", payload).encode(), mac.encode("utf-8", "replace")):
                continue
            owner, nonce, expires_at, user, username, callback = json.loads(b64url_decode(payload))
            if owner == handle and expires_at > self._resource.clock():
                return Visit(nonce, expires_at, user, username, callback)
        return None

    # ---------------------------------------------------------------- HTML

    @property
    def _name(self) -> str:
        return self._resource.metadata().name or self._resource.issuer.partition("://")[2]

    def _entry(
        self, handle: str, visit: Visit, code: str = "", username: str = "", alert: str = "", status: int = 200
    ) -> Response:
        shown = f'<p class="alert" role="alert">{escape(alert)}</p>' if alert else ""
        body = f"""<h1>Sign in to {escape(self._name)}</h1>{shown}
<p>{escape(self.invitation)}</p>
<form method="post" action="{escape(self._path + handle)}">
<input type="hidden" name="csrf" value="{escape(self._mac("csrf", visit.nonce))}">
<label for="code">Code</label>
<input class="code" id="code" name="code" required autocomplete="off" autocapitalize="characters" spellcheck="false"
 maxlength="64" value="{escape(code[:64])}">
<label for="username">User name</label>
<input id="username" name="username" required autocomplete="username" maxlength="256" value="{escape(username[:256])}">
<label for="password">Password</label>
<input id="password" name="password" type="password" required autocomplete="current-password" maxlength="1024">
<button type="submit" name="action" value="sign-in">Continue</button>
</form>"""
        return self._page(f"Sign in to {self._name}", body, status, [self._cookie(handle, visit)], visit.callback)

    def _consent(self, view: InteractionView, visit: Visit) -> Response:
        provider = escape(view.agent_iss.partition("://")[2])
        if view.provider_name:
            provider = f"{shown_line(view.provider_name)} <span class='soft'>({provider})</span>"
        scopes = "".join(
            f"<li>{_markdown(text) if text else ''}<code>{escape(value)}</code></li>" for value, text in view.scopes
        )
        body = f"""<h1>Give this agent access?</h1>
<dl><dt>Agent</dt><dd>{shown_line(view.agent_sub)}</dd><dt>Run by</dt><dd>{provider}</dd>
<dt>Your account</dt><dd>{shown_line(visit.username)} at {escape(self._name)}</dd></dl>
<h2>It will be able to</h2><ul>{scopes}</ul>
<p class="soft">Approve only what you started yourself. Nobody from {escape(self._name)} will ask you to.</p>
<form method="post" action="{escape(self._path + view.handle)}">
<input type="hidden" name="csrf" value="{escape(self._mac("csrf", visit.nonce))}">
<button type="submit" name="action" value="approve">Approve</button>
<button type="submit" name="action" value="deny" class="no">Decline</button>
</form>"""
        return self._page("Give this agent access?", body, 200, (), visit.callback)

    def _message(self, title: str, text: str, status: int, headers: list[tuple[str, str]] | None = None) -> Response:
        return self._page(title, f"<h1>{escape(title)}</h1><p>{escape(text)}</p>", status, headers or ())

    def _page(
        self,
        title: str,
        body: str,
        status: int,
        headers: list[tuple[str, str]] | tuple[()] = (),
        callback: str | None = None,
    ) -> Response:
        html = (
            f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
            f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{_CSS}</style></head>'
            f"<body><main>{body}</main></body></html>"
        )
        # Browsers hold a redirect that answers a form against form-action too.
        targets = "'self'" if callback is None else f"'self' {origin_of(callback)}"
        policy = (
            f"default-src 'none'; style-src 'sha256-{_CSS_HASH}'; form-action {targets}; "
            "frame-ancestors 'none'; base-uri 'none'"
        )
        fields = [
            ("content-type", "text/html; charset=utf-8"),
            ("cache-control", "no-store"),
            ("content-security-policy", policy),
            ("cross-origin-opener-policy", "same-origin"),
            # Not no-referrer: under that a browser sends `Origin: null` with our own forms.
            ("referrer-policy", "same-origin"),
            ("x-frame-options", "DENY"),
            *headers,
        ]
        return Response(status, Fields(fields), html.encode())


def form_fields(text: str) -> dict[str, str]:
    """The first value of each form or query field; an over-long one is left out."""
    try:
        fields = parse_qs(text, keep_blank_values=True, max_num_fields=20)
    except ValueError:
        return {}
    return {name: values[0] for name, values in fields.items() if len(values[0]) <= _MAX_FIELD_LENGTH}


def redirect(url: str, headers: list[tuple[str, str]] | None = None) -> Response:
    """To `url`, which does not learn where from: the URL of this page is nobody else's business."""
    fields = [("location", url), ("cache-control", "no-store"), ("referrer-policy", "no-referrer"), *(headers or ())]
    return Response(303, Fields(fields))


def _with_error(callback: str, error: str) -> str:
    """#interaction-callback-errors."""
    return f"{callback}{'&' if '?' in callback else '?'}{urlencode({'error': error})}"


def shown_line(text: str) -> str:
    """One line of somebody else's text for a page, without characters that are not seen or that turn it around."""
    shown = "".join(" " if unicodedata.category(character)[0] == "C" else character for character in text)
    return escape(" ".join(shown.split())[:_MAX_LINE_LENGTH])


def _markdown(text: str) -> str:
    """Markdown as sanitised HTML; as plain text where the `server` extra is not installed."""
    try:
        from .markup import safe_markdown
    except ImportError:
        return f"<p>{escape(text)}</p>"
    return str(safe_markdown(text))
