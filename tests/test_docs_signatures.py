"""The snippets of docs/signatures.md run as they stand, with this machine in the place of api.example."""

from __future__ import annotations

import re
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from aauthlib.cli.serving import free_port
from tests.integrations.live import serve_asgi

DOCUMENT = Path(__file__).parent.parent / "docs" / "signatures.md"


def test_every_snippet_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    port = free_port()
    snippets = re.findall(r"^```python\n(.*?)^```", DOCUMENT.read_text(), re.M | re.S)
    assert len(snippets) >= 9
    names: dict[str, Any] = {}
    with ExitStack() as stack:
        for number, snippet in enumerate(snippets):
            local = snippet.replace("https://api.example", f"http://127.0.0.1:{port}")
            exec(compile(local, f"{DOCUMENT.name}, snippet {number}", "exec"), names)
            if "app" in names and "served" not in names:
                names["served"] = stack.enter_context(serve_asgi(_with_lifespan(names["app"]), port))
    assert {"served", "wsgi_app", "app_once"} <= names.keys()


def _with_lifespan(app: Any) -> Any:
    async def served(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await app(scope, receive, send)
            return
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return

    return served
