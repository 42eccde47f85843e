"""`aauth fetch`: one signed call, with everything it takes, told as it happens."""

from __future__ import annotations

import sys
import time
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import httpx2

from ..agent import (
    Agent,
    GrantPreferences,
    Identity,
    KeyringKeystore,
    load_identity,
    source_of,
)
from ..deferred.polling import PollPolicy
from ..discovery import Directory
from ..errors import ConfigurationError
from ..identifiers import https_url
from ..keys import SigningKey
from ..transport import SyncTransport, Wire
from .exchanges import Exchange, Exchanges, Recorder
from .exits import Exit
from .narrate import credential, explain, first_line
from .screen import Screen, safe
from .waiting import Waiting

__all__ = ["FetchOptions", "fetch_url"]


@dataclass(frozen=True, slots=True)
class FetchOptions:
    """What the command line said."""

    url: str
    method: str | None = None
    data: str | None = None
    headers: tuple[str, ...] = ()
    include: bool = False
    output: Path | None = None
    name: str = "default"
    why: str | None = None
    browser: bool = False
    wait_s: int = 600
    questions: bool | None = None
    """Whether questions of the person's are answered here; by default where there is a terminal."""
    verbose: bool = False
    dev: bool = False


def fetch_url(screen: Screen, options: FetchOptions) -> int:
    """Call the URL and print the answer. Returns an exit code; raises what the exchange raises."""
    identity, key = _identity(options.name)
    dev = options.dev or identity.dev
    https_url(options.url, dev=dev, what="The URL to fetch")
    exchanges = Exchanges(time.time, names=_names(identity.issuer, identity.ps))
    waiting = Waiting(screen, wait_s=options.wait_s, browser=options.browser, questions=options.questions)
    if options.verbose and not screen.json_output:
        exchanges.on_exchange = lambda exchange: _tell(screen, exchange)
    wire = Wire(Recorder(SyncTransport(dev=dev), exchanges, "agent"), Directory(clock=time.time, dev=dev))
    agent = Agent(
        source_of(identity, key, clock=time.time),
        wire=wire,
        dev=dev,
        on_interaction=waiting.direct,
        on_clarification=waiting.clarify if waiting.takes_questions else None,
        on_report=waiting.report,
        preferences=GrantPreferences(justification=options.why, platform="desktop"),
        poll=PollPolicy(deadline_s=float(options.wait_s)),
    )
    body = _body(options.data)
    method = options.method or ("POST" if body is not None else "GET")
    try:
        with waiting:
            response = agent.request(method, options.url, headers=_headers(options.headers), content=body)
    finally:
        wire.close()
    _print(screen, options, response, exchanges)
    return Exit.OK if response.status_code < 400 else Exit.HTTP_ERROR


def _identity(name: str) -> tuple[Identity, SigningKey]:
    """The identity and its key, from a file or, where there is none, from the keychain."""
    try:
        return load_identity(name)
    except ConfigurationError as error:
        try:
            return load_identity(name, keystore=KeyringKeystore())
        except ConfigurationError:
            raise error from None


def _names(issuer: str, ps: str | None) -> dict[str, str]:
    names = {issuer: "the agent provider"}
    if ps is not None:
        names[ps] = "the person server"
    return names


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


def _tell(screen: Screen, exchange: Exchange) -> None:
    """One exchange, as two or three lines on standard error."""
    style = "dim" if exchange.discovery else "bold"
    screen.say(f"[{style}]agent → {safe(exchange.receiver)}[/]  {safe(first_line(exchange))}")
    if exchange.discovery:
        return
    screen.say(f"  [dim]{safe(credential(exchange.request))}[/]")
    for sentence in explain(exchange):
        screen.say(f"  {safe(sentence)}")


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
