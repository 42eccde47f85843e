"""Getting a person to a page from a terminal."""

from __future__ import annotations

import io
import webbrowser

import pytest

from aauthlib.agent import OpenBrowser, PrintURL
from aauthlib.effects import Direct

DIRECT = Direct("https://ps.example/consent", "A1B2-C3D4", "https://ps.example")


@pytest.mark.spec("#interaction-required")
def test_url_code_and_server_are_printed() -> None:
    stream = io.StringIO()
    PrintURL(stream)(DIRECT)
    text = stream.getvalue()
    assert "https://ps.example needs you" in text
    assert "    https://ps.example/consent?code=A1B2-C3D4\n" in text
    assert "the code A1B2-C3D4" in text
    assert "█" not in text and "▄" not in text


@pytest.mark.spec("#interaction-required")
def test_a_qr_code_is_drawn_where_one_can_be_seen() -> None:
    stream = io.StringIO()
    PrintURL(stream, qr=True)(DIRECT)
    assert "▄" in stream.getvalue()


def test_a_browser_is_opened_only_where_there_is_a_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    printed: list[Direct] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    OpenBrowser(printer=printed.append, environ={})(DIRECT)
    assert (opened, printed) == ([], [DIRECT])
    OpenBrowser(printer=printed.append, environ={"WAYLAND_DISPLAY": "wayland-0"})(DIRECT)
    assert opened == ["https://ps.example/consent?code=A1B2-C3D4"]
