"""`aauth fetch`: one signed call, with everything it takes, told as it happens."""

from __future__ import annotations

import sys
import time
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import httpx2

from ..agent import Agent, PendingRequest
from ..agent.pending import MAX_KEPT_BODY_BYTES
from ..agent.pending_files import PendingFiles
from ..agent.resuming import Keep
from ..errors import ConfigurationError
from ..identifiers import https_url
from .calling import Calling
from .exchanges import Exchange, Exchanges
from .exits import Exit
from .pending import see_through
from .screen import Screen

__all__ = ["FetchOptions", "fetch_url"]


@dataclass(frozen=True, slots=True)
class FetchOptions:
    """What the command line said."""

    url: str | None
    calling: Calling
    method: str | None = None
    data: str | None = None
    headers: tuple[str, ...] = ()
    include: bool = False
    output: Path | None = None
    mission: str | None = None
    """`s256` of the mission the call is made in, or the beginning of it."""
    resume: str | None = None
    """In place of a URL: the id of a request that waits, or the beginning of it."""


def fetch_url(screen: Screen, options: FetchOptions) -> int:
    """Call the URL and print the answer. Returns an exit code; raises what the exchange raises."""
    exchanges = Exchanges(time.time)
    if options.resume is not None:
        answer = _go_on(screen, options, options.resume, exchanges)
    elif options.url is not None:
        answer = _begin(screen, options, options.url, exchanges)
    else:
        raise ConfigurationError("Say what to fetch: a URL, or with --resume a request that waits.")
    if isinstance(answer, Exit):
        return answer
    _print(screen, options, answer, exchanges)
    return Exit.OK if answer.status_code < 400 else Exit.HTTP_ERROR


def _begin(screen: Screen, options: FetchOptions, url: str, exchanges: Exchanges) -> httpx2.Response | Exit:
    body = _body(options.data)
    method = options.method or ("POST" if body is not None else "GET")
    headers = _headers(options.headers)
    wait_s = options.calling.wait_s

    def begin(agent: Agent, keep: Keep) -> httpx2.Response | PendingRequest:
        https_url(url, dev=agent.context.dev, what="The URL to fetch")
        if body is not None and len(body) > MAX_KEPT_BODY_BYTES:
            return agent.request(method, url, headers=headers, content=body)
        return agent.begin(method, url, wait_s=wait_s, keep=keep, headers=headers, content=body)

    return see_through(screen, options.calling, begin, exchanges, mission=options.mission)


def _go_on(screen: Screen, options: FetchOptions, kept_id: str, exchanges: Exchanges) -> httpx2.Response | Exit:
    if options.url is not None or options.data is not None or options.method is not None or options.headers:
        raise ConfigurationError(
            "With --resume the request is the one that waits; leave out the URL and what goes with it."
        )
    kept = PendingFiles(options.calling.name).find(kept_id)

    def begin(agent: Agent, keep: Keep) -> httpx2.Response | PendingRequest:
        return agent.resume(kept.pending, wait_s=options.calling.wait_s, keep=keep)

    return see_through(screen, options.calling, begin, exchanges, mission=kept.pending.mission_s256, kept=kept)


def _headers(lines: tuple[str, ...]) -> list[tuple[str, str]]:
    headers = []
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name.strip():
            raise ConfigurationError(f"A header is written 'Name: value'; {line!r} is not.")
        headers.append((name.strip(), value.strip()))
    return headers


def _body(data: str | None) -> bytes | None:
    if data is None:
        return None
    if data == "@-":
        return sys.stdin.buffer.read()
    if data.startswith("@"):
        try:
            return Path(data[1:]).read_bytes()
        except OSError as error:
            raise ConfigurationError(f"The body cannot be read from {data[1:]}: {error.strerror}.") from error
    return data.encode()


def _print(screen: Screen, options: FetchOptions, response: httpx2.Response, exchanges: Exchanges) -> None:
    if screen.json_output:
        screen.document(
            {
                "event": "response",
                "status": response.status_code,
                "headers": dict(response.headers),
                "body": _json_or_text(response),
                "exchanges": len([entry for entry in exchanges.entries if isinstance(entry, Exchange)]),
            }
        )
        return
    target = nullcontext(sys.stdout.buffer) if options.output is None else options.output.open("wb")
    with target as stream:
        if options.include:
            lines = [f"HTTP/1.1 {response.status_code}", *(f"{n}: {v}" for n, v in response.headers.items()), "", ""]
            stream.write("\r\n".join(lines).encode("latin-1", "replace"))
        stream.write(response.content)
        if options.output is None and sys.stdout.isatty() and not response.content.endswith(b"\n"):
            stream.write(b"\n")
        stream.flush()
    if response.status_code >= 400:
        screen.say(f"[yellow]The resource answered {response.status_code}.[/]")


def _json_or_text(response: httpx2.Response) -> object:
    try:
        return response.json()
    except ValueError:
        return response.text
