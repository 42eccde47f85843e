"""A person without a browser: follows links and sends forms as one would, for unattended runs.

It reads the real pages over real HTTP, keeps cookies, and sends whatever hidden fields the form carries, so an
unattended run passes the same sign-in, the same CSRF check and the same consent page as a person does.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urlencode, urljoin, urlsplit

import httpx2

__all__ = ["Form", "PageError", "ScriptedPerson"]


#: Before a page that looks by itself is loaded again; it says longer, and waits itself.
_REFRESH_S = 0.2


class PageError(Exception):
    """A page was not what the script expected."""


@dataclass(slots=True)
class Form:
    """A form on a page, with the values it came with."""

    action: str
    method: str
    fields: list[tuple[str, str]] = field(default_factory=list)
    buttons: list[tuple[str, str, str]] = field(default_factory=list)
    """Name, value and text of each submit button."""
    names: set[str] = field(default_factory=set)
    id: str = ""


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.forms: list[Form] = []
        self.elsewhere: list[tuple[str, str]] = []
        """The id of a form and the name of a field of its that stands outside of it."""
        self._open: Form | None = None
        self._button: tuple[str, str] | None = None
        self._area: str | None = None
        self._select: str | None = None
        self._chosen = ""
        self._options = 0
        self._text = ""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attributes}
        present = {name for name, _ in attributes}
        if tag == "form":
            self._open = Form(values.get("action", ""), values.get("method", "get").lower(), id=values.get("id", ""))
            self.forms.append(self._open)
        if "form" in values:
            self.elsewhere.append((values["form"], values.get("name", "")))
            return
        if self._open is None:
            return
        name = values.get("name", "")
        kind = values.get("type", "text" if tag == "input" else "submit").lower()
        if tag == "button" and kind == "submit":
            self._button, self._text = (name, values.get("value", "")), ""
        elif tag == "input" and name:
            self._open.names.add(name)
            if kind not in ("checkbox", "radio") or "checked" in present:
                self._open.fields.append((name, values.get("value", "on" if kind == "checkbox" else "")))
        elif tag == "textarea" and name:
            self._area, self._text = name, ""
        elif tag == "select" and name:
            self._select, self._chosen, self._options = name, "", 0
        elif tag == "option" and self._select is not None:
            # Without one that is selected a browser takes the first.
            if self._options == 0 or "selected" in present:
                self._chosen = values.get("value", "")
            self._options += 1

    def handle_data(self, data: str) -> None:
        if self._button is not None or self._area is not None:
            self._text += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea" and self._area is not None and self._open is not None:
            self._open.names.add(self._area)
            # The newline right after the tag is not part of the text.
            self._open.fields.append((self._area, self._text.removeprefix("\n")))
            self._area = None
        elif tag == "select" and self._select is not None and self._open is not None:
            self._open.names.add(self._select)
            if self._options:
                self._open.fields.append((self._select, self._chosen))
            self._select = None
        elif tag == "button" and self._button is not None and self._open is not None:
            self._open.buttons.append((*self._button, " ".join(self._text.split())))
            self._button = None
        elif tag == "form":
            self._open = None


class ScriptedPerson:
    """One person with one cookie jar. `client` decides how `*.localhost` is reached."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self._client = client
        self.url = ""
        self.status = 0
        self.text = ""
        self.refresh = False
        """Whether the page asked to be loaded again."""

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def visit(self, url: str) -> None:
        """Open a page, following redirects."""
        await self._follow("GET", url, None)

    async def follow_refreshes(self, most: int) -> None:
        """Wait on pages that look by themselves whether there is more, at most `most` times."""
        for _ in range(most):
            if not self.refresh:
                return
            await asyncio.sleep(_REFRESH_S)
            await self.visit(self.url)

    def form_with(self, *names: str) -> Form:
        """The form on this page that has all these fields, or a button so named. Raises `PageError`."""
        parser = _Forms()
        parser.feed(self.text)
        for form in parser.forms:
            form.names.update(name for id, name in parser.elsewhere if id and id == form.id)
            available = form.names | {name for name, _ in form.fields} | {button[0] for button in form.buttons}
            if set(names) <= available:
                return form
        raise PageError(f"No form with {', '.join(names)} on the page at {urlsplit(self.url).path} ({self.status}).")

    async def submit(self, form: Form, values: dict[str, str], *, button: tuple[str, str] | None = None) -> None:
        """Send a form with `values` filled in, by `button` (name, value) when it has several."""
        data = [(name, value) for name, value in form.fields if name not in values]
        data += list(values.items())
        if button is not None and button[0]:
            data.append(button)
        await self._follow("POST" if form.method == "post" else "GET", urljoin(self.url, form.action), urlencode(data))

    async def _follow(self, method: str, url: str, body: str | None) -> None:
        for _ in range(10):
            headers = {"accept": "text/html"}
            if method == "POST":
                parts = urlsplit(self.url)
                headers |= {
                    "content-type": "application/x-www-form-urlencoded",
                    "origin": f"{parts.scheme}://{parts.netloc}",
                    "sec-fetch-site": "same-origin",
                }
            response = await self._client.request(method, url, headers=headers, content=body if body else None)
            self.url, self.status, self.text = url, response.status_code, response.text
            self.refresh = "refresh" in response.headers
            location = response.headers.get("location")
            pause, _, target = response.headers.get("refresh", "").partition(";url=")
            if pause == "0" and target:
                location = target
            elif response.status_code not in (301, 302, 303, 307, 308) or location is None:
                return
            url, method, body = urljoin(url, location), "GET", None
        raise PageError("The pages redirect in a circle.")
