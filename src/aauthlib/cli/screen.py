"""What the command prints: answers on stdout, everything about them on stderr, so that pipes stay clean."""

from __future__ import annotations

import json
import sys
from typing import Any

from rich.console import Console
from rich.markup import escape

__all__ = ["Screen", "safe"]


def safe(text: str) -> str:
    """Text of another party for the terminal: markup taken literally, control characters made visible."""
    shown = "".join(c if c.isprintable() or c in "\n\t" else f"\\x{ord(c):02x}" for c in text)
    return escape(shown)


class Screen:
    """Where a command speaks. With `json_output`, nothing decorates and stdout holds one JSON document a line."""

    def __init__(self, *, json_output: bool = False, quiet: bool = False) -> None:
        self.json_output = json_output
        self.out = Console(highlight=False, soft_wrap=True)
        self.err = Console(stderr=True, highlight=False, soft_wrap=True, quiet=quiet or json_output)

    def say(self, text: str) -> None:
        """A line for the person, in rich markup; other parties' text goes through `safe` first."""
        self.err.print(text)

    def fail(self, text: str, *, code: str | None = None) -> None:
        """What went wrong, and where it helps, what to do next."""
        if self.json_output:
            self.document({"error": code or "failed", "detail": text})
        else:
            Console(stderr=True, highlight=False, soft_wrap=True).print(f"[bold red]aauth:[/] {safe(text)}")

    def document(self, value: Any) -> None:
        """A JSON document on stdout."""
        sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=None if self.json_output else 2) + "\n")
        sys.stdout.flush()

    def raw(self, body: bytes) -> None:
        """A body on stdout, as it is."""
        sys.stdout.buffer.write(body)
        sys.stdout.buffer.flush()
