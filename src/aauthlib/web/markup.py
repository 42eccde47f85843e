"""Text that others wrote, made safe to show (#untrusted-input, #consent-presentation).

Markdown becomes a small, inert subset of HTML: no links, images, headings or raw markup, since whoever asks for access
must not be able to lead the reader elsewhere or imitate the page. Knows no template and no framework.
"""

from __future__ import annotations

import json
import unicodedata

import nh3
from markdown_it import MarkdownIt
from markupsafe import Markup

__all__ = ["plain", "readable_json", "safe_markdown"]

_MAX_MARKDOWN = 4_000
_MAX_PLAIN = 300
_TAGS = {"p", "br", "em", "strong", "ul", "ol", "li", "code", "pre", "blockquote"}

# What is not enabled stays visible as it was typed.
_MARKDOWN = MarkdownIt("commonmark", {"html": False, "maxNesting": 20, "linkify": False}).disable(
    ["link", "image", "autolink", "html_block", "html_inline", "heading", "lheading", "reference", "hr"]
)


def safe_markdown(text: str | None) -> Markup:
    """Markdown as HTML without anything that acts or leads away. Beyond 4000 characters it is cut."""
    if not text:
        return Markup("")
    cut = _visible(text if len(text) <= _MAX_MARKDOWN else text[:_MAX_MARKDOWN] + " …")
    # The sanitiser is the second fence: the renderer above emits nothing else as it is configured.
    return Markup(nh3.clean(_MARKDOWN.render(cut), tags=_TAGS, attributes={}, link_rel=None))


def plain(text: object) -> str:
    """One line of text without control and direction-changing characters; beyond 300 characters it is cut."""
    line = " ".join(_visible(str(text)).split())
    return line if len(line) <= _MAX_PLAIN else line[:_MAX_PLAIN] + "…"


def readable_json(value: object) -> str:
    """JSON for people to read, whole; characters that cannot be seen or change the direction are escaped."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return "".join(
        character if character in "\n\t" or unicodedata.category(character)[0] != "C" else f"\\u{ord(character):04x}"
        for character in text
    )


def _visible(text: str) -> str:
    return "".join(
        character if character in "\n\t" or unicodedata.category(character)[0] != "C" else " " for character in text
    )
