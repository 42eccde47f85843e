"""Whether a page is inert: nothing that somebody else wrote acts in it, leads away, or cannot be seen."""

from __future__ import annotations

import unicodedata
from html.parser import HTMLParser
from urllib.parse import urlsplit

#: Text that tries everything at once. Each use of it is marked, so that it is known to have been on the page.
HOSTILE = (
    "{mark}\"'><script>alert(1)</script><img src=x onerror=alert(1)><b onmouseover=alert(1) style=color:red>"
    "[link](javascript:alert(1)) ![](https://evil.example/x.png) <https://evil.example> {{{{7*191919}}}} "
    "</textarea></title></bdi><iframe srcdoc=x></iframe>&lt;\u202e\u2066\u200b\u0085"
)

_TAGS_THAT_ACT = {"iframe", "object", "embed", "base", "svg:script", "applet", "frame", "style", "math"}
_LINKS = {"href", "src", "action", "formaction", "poster", "data", "srcset", "ping", "background", "manifest"}


def hostile(mark: str) -> str:
    """Hostile text with `mark` in it."""
    return HOSTILE.format(mark=mark)


class _Reader(HTMLParser):
    def __init__(self, elsewhere: frozenset[str]) -> None:
        super().__init__(convert_charrefs=True)
        self._elsewhere = elsewhere
        self.wrong: list[str] = []
        self._tag = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._tag = tag
        values = {name: value or "" for name, value in attrs}
        if tag in _TAGS_THAT_ACT or (tag == "script" and not values.get("src", "").partition("?")[0].endswith(".js")):
            self.wrong.append(f"<{tag}>")
        for name, value in values.items():
            if name.startswith("on") or name in ("style", "srcdoc", "xlink:href"):
                self.wrong.append(f"{tag} {name}")
            if name in _LINKS and not self._is_ours(value):
                self.wrong.append(f"{tag} {name}={value[:60]}")
            if _unseen(value):
                self.wrong.append(f"{tag} {name} has characters that cannot be seen")
        if tag == "meta" and values.get("http-equiv", "").lower() == "refresh":
            target = values.get("content", "").partition("url=")[2]
            if target and not self._is_ours(target):
                self.wrong.append(f"refresh to {target[:60]}")

    def handle_data(self, data: str) -> None:
        if self._tag == "script" and data.strip():
            self.wrong.append("script in the page")
        if _unseen(data):
            self.wrong.append(f"characters that cannot be seen in {data.strip()[:40]!r}")

    def handle_endtag(self, tag: str) -> None:
        self._tag = ""

    def _is_ours(self, value: str) -> bool:
        value = value.strip()
        if not value or value[0] == "#" or (value[0] == "/" and value[1:2] not in ("/", "\\")):
            return True
        parts = urlsplit(value)
        return parts.scheme == "https" and parts.hostname in self._elsewhere and "evil.example" not in value


def _unseen(text: str) -> bool:
    return any(unicodedata.category(character)[0] == "C" and character not in "\n\t\r" for character in text)


def what_acts(page: str, *, elsewhere: frozenset[str] = frozenset()) -> list[str]:
    """What on `page` is not inert. `elsewhere` are hosts that it may link to."""
    reader = _Reader(elsewhere)
    reader.feed(page)
    reader.close()
    if "1343433" in page:
        reader.wrong.append("a template ran")
    return reader.wrong
