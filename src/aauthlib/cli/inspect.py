"""`aauth inspect` on the terminal. What it finds out stands in `cli.inspecting`."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from rich.json import JSON
from rich.panel import Panel

from ..errors import ConfigurationError
from ..transport import Wire
from .exits import Exit
from .inspecting import Inspection, inspect_metadata, inspect_request, inspect_token, parse_captured_request
from .screen import Screen, safe

__all__ = ["inspect_anything"]

_MAX_INPUT = 1_048_576


def inspect_anything(
    screen: Screen, what: str, *, offline: bool, origin: str | None, at: float | None, dev: bool
) -> int:
    """Inspect `what`, print the findings, and return `Exit.INVALID` when something does not hold."""
    text = _read(what)
    now = at if at is not None else time.time()
    with Wire.open(dev=dev) as wire:
        if text.count(".") == 2 and not text.startswith(("http://", "https://")) and " " not in text:
            inspection = wire.run(inspect_token(text, now=now, dev=dev, online=not offline))
        elif text.startswith(("http://", "https://")) and "\n" not in text:
            inspection = wire.run(inspect_metadata(text, dev=dev))
        else:
            request = parse_captured_request(text, origin=origin)
            inspection = wire.run(inspect_request(request, now=at, clock=time.time, dev=dev))
    _print(screen, inspection)
    return Exit.OK if inspection.valid else Exit.INVALID


def _read(what: str) -> str:
    if what == "-":
        return sys.stdin.read(_MAX_INPUT).strip()
    if what.startswith(("http://", "https://", "eyJ")):
        return what.strip()
    path = Path(what)
    if not path.is_file():
        raise ConfigurationError(f"{what} is neither a token, nor a URL, nor a file that can be read.")
    with path.open(encoding="utf-8", errors="replace") as file:
        return file.read(_MAX_INPUT).strip()


def _print(screen: Screen, inspection: Inspection) -> None:
    if screen.json_output:
        screen.document(inspection.to_document())
        return
    if inspection.header:
        screen.out.print(Panel(JSON.from_data(inspection.header), title="header", title_align="left"))
    if inspection.content:
        screen.out.print(Panel(JSON.from_data(inspection.content), title=safe(inspection.kind), title_align="left"))
    for finding in inspection.findings:
        mark = "[green]✓[/]" if finding.holds else "[bold red]✗[/]"
        detail = f" [dim]{safe(finding.detail)}[/]" if finding.detail else ""
        screen.out.print(f"{mark} {safe(finding.check)}{detail}")
