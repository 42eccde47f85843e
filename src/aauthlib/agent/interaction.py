"""Ways to get a person to a URL (#interaction-required): print it with code and QR code, open a browser, call back.

A hook is any callable that takes a `Direct`; the asynchronous agent also takes one that returns an awaitable. URL and
code are checked before a hook sees them: `https`, plain ASCII, no query but the code.
"""

from __future__ import annotations

import io
import os
import sys
import webbrowser
from collections.abc import Callable, Mapping
from typing import TextIO, TypeAlias

import segno

from ..effects import Answer, Direct, Report

__all__ = ["ClarificationHook", "InteractionHook", "OpenBrowser", "PrintURL", "ReportHook"]

#: May return an awaitable, for the asynchronous agent.
InteractionHook: TypeAlias = Callable[[Direct], object]
#: Returns Markdown, an `UpdatedRequest`, or `None` to withdraw the request.
ClarificationHook: TypeAlias = Callable[[Answer], object]
ReportHook: TypeAlias = Callable[[Report], object]


class PrintURL:
    """Print the URL, the code and, in a terminal, a QR code. To standard error, so that output stays usable."""

    def __init__(self, stream: TextIO | None = None, *, qr: bool | None = None) -> None:
        self._stream, self._qr = stream, qr

    def __call__(self, direct: Direct) -> None:
        stream = self._stream if self._stream is not None else sys.stderr
        lines = [
            f"{direct.server} needs you at this page:",
            "",
            f"    {direct.person_url}",
            "",
            f"Check that the page shows the code {direct.code}.",
        ]
        stream.write("\n".join(lines) + "\n")
        if self._qr if self._qr is not None else stream.isatty():
            picture = io.StringIO()
            segno.make(direct.person_url, error="m").terminal(out=picture, compact=True)
            stream.write("\n" + picture.getvalue())
        stream.flush()


class OpenBrowser:
    """Open the person's browser where there is one to open; the URL and code are printed all the same."""

    def __init__(self, *, printer: InteractionHook | None = None, environ: Mapping[str, str] | None = None) -> None:
        self._print = printer if printer is not None else PrintURL()
        self._environ = environ if environ is not None else os.environ

    def __call__(self, direct: Direct) -> None:
        self._print(direct)
        if self._has_display():
            webbrowser.open(direct.person_url)

    def _has_display(self) -> bool:
        # Without a display, `webbrowser` may start a browser in the terminal and wait for it to be left.
        if sys.platform in ("darwin", "win32"):
            return True
        return bool(self._environ.get("DISPLAY") or self._environ.get("WAYLAND_DISPLAY"))
