"""Pages for people: templates, security headers, static files, cookies and forms, for every role that has pages.

No script or style is inline, nothing is framed, cached or loaded from elsewhere but the logos a page names. The
server's own name comes from the configuration; the Host header is never read. Sections: #untrusted-input.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from ..effects import Clock
from ..errors import AAuthError, InvalidIdentifier
from ..identifiers import https_url, origin_of
from .markup import plain, readable_json, safe_markdown

__all__ = ["Form", "PageError", "Pages", "read_form"]

_MAX_FORM_BYTES = 65_536
_MAX_FORM_FIELDS = 100
_STATIC_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
}

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": (
        "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=(), "
        "publickey-credentials-create=(self), publickey-credentials-get=(self)"
    ),
}


class PageError(AAuthError):
    """A page that says what went wrong: title, text, status."""

    def __init__(self, status: int, title: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.title = title


@dataclass(frozen=True, slots=True)
class Form:
    """The fields of a submitted form, in order."""

    fields: tuple[tuple[str, str], ...] = ()

    def get(self, name: str, default: str = "") -> str:
        """The first value of a field."""
        return next((value for key, value in self.fields if key == name), default)

    def get_all(self, name: str) -> list[str]:
        """Every value of a field."""
        return [value for key, value in self.fields if key == name]


async def read_form(request: Request) -> Form:
    """The urlencoded form in a request's body. Raises `PageError` when it is something else, or too large."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/x-www-form-urlencoded":
        raise PageError(415, "Not a form", "This address takes forms of this site only.")
    body = b""
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > _MAX_FORM_BYTES:
                raise PageError(413, "Too much text", "The form is larger than this page takes. Shorten it.")
    except ClientDisconnect:
        raise PageError(400, "Not complete", "The form was not received completely. Try again.") from None
    try:
        fields = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            encoding="utf-8",
            errors="strict",
            max_num_fields=_MAX_FORM_FIELDS,
        )
    except ValueError:
        fields = None
    # No field of ours can hold a NUL, and not every store can keep one.
    if fields is None or any("\0" in text for pair in fields for text in pair):
        raise PageError(400, "Not readable", "The form could not be read. Go back and try again.")
    return Form(tuple(fields))


class Pages:
    """Renders the pages of one server under its issuer.

    Each of `directories` has `templates` and, if it needs any, `static`; the first that has a name gives it.
    `base` is the path they are all under, such as `/access`. `dev` admits logos over `http` from names below localhost.
    """

    def __init__(self, *directories: Path, issuer: str, clock: Clock, dev: bool = False, base: str = "") -> None:
        self.issuer, self.dev, self.base, self._clock = issuer, dev, base, clock
        self.host = urlsplit(issuer).netloc
        self.secure = issuer.startswith("https://")
        self._static = _load_static([directory / "static" for directory in directories])
        self._environment = Environment(
            loader=FileSystemLoader([directory / "templates" for directory in directories]),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters.update(
            markdown=safe_markdown,
            plain=plain,
            readable_json=readable_json,
            host=_host,
            ago=self._ago,
            until=self._until,
            date=_date,
            iso=_iso,
        )
        self._environment.globals.update(site_host=self.host, static=self._static_url, base=base)

    def render(
        self,
        template: str,
        *,
        status: int = 200,
        images: Iterable[str | None] = (),
        form_targets: Iterable[str | None] = (),
        **context: object,
    ) -> Response:
        """A page. `images` are URLs it loads from elsewhere, `form_targets` URLs that its forms end up at."""
        body = self._environment.get_template(template).render(**context)
        response = Response(body, status, media_type="text/html; charset=utf-8")
        self.protect(response, images=images, form_targets=form_targets)
        return response

    def redirect(self, target: str) -> Response:
        """On to `target` by GET: a path of these pages, or a checked URL elsewhere."""
        response = Response(b"", 303, headers={"Location": self.base + target if target.startswith("/") else target})
        self.protect(response)
        return response

    def static(self, name: str, *, current: str | None) -> Response | None:
        """A static file; kept by caches for good when asked for by its `current` fingerprint."""
        found = self._static.get(name)
        if found is None:
            return None
        content, fingerprint, media_type = found
        response = Response(content, 200, media_type=media_type)
        self.protect(response)
        if current == fingerprint:
            response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        else:
            response.headers["Cache-Control"] = "no-cache"
        return response

    def protect(
        self, response: Response, *, images: Iterable[str | None] = (), form_targets: Iterable[str | None] = ()
    ) -> None:
        """Put the security headers on a response."""
        response.headers.update(_HEADERS)
        response.headers["Cache-Control"] = "no-store"
        response.headers["Content-Security-Policy"] = "; ".join(
            (
                "default-src 'none'",
                "script-src 'self'",
                "style-src 'self'",
                "worker-src 'self'",
                "manifest-src 'self'",
                " ".join(("img-src 'self'", *self._origins(images))),
                " ".join(("form-action 'self'", *self._origins(form_targets, loopback=True))),
                "frame-ancestors 'none'",
                "base-uri 'none'",
            )
        )
        if self.secure:
            response.headers["Strict-Transport-Security"] = "max-age=31536000"

    # ------------------------------------------------------------------ cookies

    def cookie_name(self, name: str) -> str:
        """`__Host-` binds a cookie to this host and to https; the development profile has no https."""
        return f"__Host-{name}" if self.secure else name

    def set_cookie(self, response: Response, name: str, value: str, *, max_age_s: int | None = None) -> None:
        """A cookie that scripts cannot read and other sites' forms do not send. Without `max_age_s` it is the browser
        session's."""
        response.set_cookie(
            self.cookie_name(name),
            value,
            max_age=max_age_s,
            path="/",
            secure=self.secure,
            httponly=True,
            samesite="lax",
        )

    def drop_cookie(self, response: Response, name: str) -> None:
        """Take a cookie away."""
        response.delete_cookie(self.cookie_name(name), path="/", secure=self.secure, httponly=True, samesite="lax")

    # ------------------------------------------------------------------ forms

    def check_post(self, request: Request, form: Form, *, expected_token: str | None) -> None:
        """Refuse a form that another site sent, or that was not made for this browser. Raises `PageError` (403)."""
        site = request.headers.get("sec-fetch-site")
        origin = request.headers.get("origin")
        # `Origin: null` is what a browser sends under our own `no-referrer`; then the other two checks decide.
        foreign = (site is not None and site != "same-origin") or (origin not in (None, "null", self.issuer))
        if foreign:
            raise PageError(403, "Refused", "This form came from another site, so nothing was changed.")
        token = form.get("csrf")
        if expected_token is None or not hmac.compare_digest(token.encode(), expected_token.encode()):
            raise PageError(
                403,
                "This form is out of date",
                "Nothing was changed. Open the page again and repeat what you did.",
            )

    # ------------------------------------------------------------------ inside

    def _origins(self, urls: Iterable[str | None], *, loopback: bool = False) -> list[str]:
        """The origins of URLs, each checked, since they end up in a header."""
        origins = set()
        for url in urls:
            if not url:
                continue
            try:
                origins.add(origin_of(https_url(url, dev=self.dev)))
            except InvalidIdentifier:
                if loopback and urlsplit(url).scheme == "http" and urlsplit(url).hostname in ("localhost", "127.0.0.1"):
                    parts = urlsplit(url)
                    origins.add(f"http://{parts.hostname}:{parts.port}" if parts.port else f"http://{parts.hostname}")
        return sorted(origins)

    def _static_url(self, name: str) -> str:
        return f"{self.base}/static/{name}?v={self._static[name][1]}"

    def _ago(self, when: float) -> str:
        seconds = self._clock() - when
        return "just now" if seconds < 60 else _span(seconds) + " ago"

    def _until(self, when: float) -> str:
        return _span(when - self._clock())


def _load_static(directories: Sequence[Path]) -> Mapping[str, tuple[bytes, str, str]]:
    files = {}
    for path in (path for directory in reversed(directories) for path in sorted(directory.glob("*"))):
        media_type = _STATIC_TYPES.get(path.suffix)
        if media_type is not None:
            content = path.read_bytes()
            files[path.name] = (content, hashlib.sha256(content).hexdigest()[:16], media_type)
    return files


def _host(issuer: object) -> str:
    return plain(urlsplit(str(issuer)).netloc or issuer)


def _span(seconds: float) -> str:
    for unit, length in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= length:
            count = round(seconds / length)
            return f"{count} {unit}{'s' if count > 1 else ''}"
    return "less than a minute"


def _date(when: float) -> str:
    moment = datetime.fromtimestamp(when, UTC)
    return f"{moment.day} {moment:%B %Y}"


def _iso(when: float) -> str:
    return datetime.fromtimestamp(when, UTC).isoformat(timespec="seconds")
