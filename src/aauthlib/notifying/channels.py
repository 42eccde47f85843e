"""The channels an operator offers: e-mail, chat, phone, by a URL of Apprise's with a gap for the person's own address.

    [[channel]]
    id = "email"
    name = "E-mail"
    label = "Your e-mail address"
    pattern = '[^@\\s]+@[^@\\s]+'
    url = "mailtos://robot:${MAIL_PASSWORD}@mail.example?to={to}"

A person fills in `{to}` and nothing else, encoded so that it stays one value: a free choice of URL would let anybody
with an account send from this server to anywhere, its own network included. `${NAME}` is taken from the environment.
Needs the `notifications` extra.
"""

from __future__ import annotations

import asyncio
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

from ..errors import AAuthError, ConfigurationError, InvalidRequest
from ..store.notification_records import WEB_PUSH

__all__ = ["AppriseChannel", "Channel", "NotDelivered", "read_channels"]

_SEND_S = 30.0
_MAX_TO_LENGTH = 320
_ID = re.compile(r"[a-z][a-z0-9-]{0,31}\Z")
#: By which a plugin would read more than one address, or something else than an address.
_SEVERAL = re.compile(r"[\s,;/\\?&%]")
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_MEMBERS = {"id", "name", "label", "pattern", "url"}


class NotDelivered(AAuthError):
    """A channel did not take the message."""


class Channel(Protocol):
    """A way of telling people that the operator set up."""

    @property
    def id(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def label(self) -> str:
        """What the person is asked for."""
        ...

    def check(self, to: str) -> str:
        """The person's address on this channel. Raises `InvalidRequest` for one that cannot be."""
        ...

    async def send(self, to: str, title: str, body: str, url: str) -> None:
        """Deliver one message that leads to `url`. Raises `NotDelivered`."""
        ...


@dataclass(frozen=True, slots=True)
class AppriseChannel:
    """A channel that Apprise reaches. `url` has `{to}` where the person's address belongs."""

    id: str
    name: str
    label: str
    url: str = field(repr=False)
    pattern: str = r".+"

    def __post_init__(self) -> None:
        if not _ID.match(self.id) or self.id == WEB_PUSH:
            raise ConfigurationError(f"A channel's id is a short word in lower case, not {self.id!r}.")
        if self.url.count("{to}") != 1:
            raise ConfigurationError(f"The URL of channel {self.id} has {{to}} exactly once, for the person's address.")
        try:
            re.compile(self.pattern)
        except re.error as error:
            raise ConfigurationError(f"The pattern of channel {self.id} is not a regular expression.") from error
        if not self._apprise().add(self.url.replace("{to}", "0")):
            raise ConfigurationError(f"Apprise does not know the kind of URL that channel {self.id} has.")

    def check(self, to: str) -> str:
        """As `Channel.check`: against `pattern`, whole."""
        text = to.strip()
        plain = text.isprintable() and not _SEVERAL.search(text)
        if not 0 < len(text) <= _MAX_TO_LENGTH or not plain or not re.fullmatch(self.pattern, text):
            raise InvalidRequest(f"{self.label}: this does not look like one.")
        return text

    async def send(self, to: str, title: str, body: str, url: str) -> None:
        """As `Channel.send`, in a thread, for at most 30 seconds."""
        apprise = self._apprise()
        apprise.add(self.url.replace("{to}", quote(to, safe="")))

        def notify() -> bool:
            return bool(apprise.notify(title=title, body=f"{body}\n{url}"))

        try:
            sent = await asyncio.wait_for(asyncio.to_thread(notify), _SEND_S)
        except Exception as error:  # whatever a plugin raises: the request waits all the same
            raise NotDelivered(f"{self.name} could not be reached.") from error
        if not sent:
            raise NotDelivered(f"{self.name} did not take the message.")

    @staticmethod
    def _apprise() -> Any:
        try:
            from apprise import Apprise
        except ImportError:
            raise ConfigurationError("Channels need pip install 'aauthlib[notifications]'.") from None
        return Apprise()


def read_channels(path: Path, environ: Mapping[str, str] | None = None) -> list[Channel]:
    """The channels in a TOML file. Raises `ConfigurationError` that names the file and what is wrong."""
    env = os.environ if environ is None else environ
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is not TOML: {error}") from error
    tables: Any = document.get("channel")
    if set(document) != {"channel"} or not isinstance(tables, list):
        raise ConfigurationError(f"{path} has [[channel]] tables and nothing else.")
    channels: list[Channel] = []
    for number, table in enumerate(tables, 1):
        if not isinstance(table, dict) or not {"id", "name", "url"} <= table.keys() or not table.keys() <= _MEMBERS:
            raise ConfigurationError(f"{path}, channel {number}: id, name and url, and label and pattern if you like.")
        if not all(isinstance(value, str) for value in table.values()):
            raise ConfigurationError(f"{path}, channel {number}: every value is a text.")
        channels.append(
            AppriseChannel(
                id=table["id"],
                name=table["name"],
                label=str(table.get("label", table["name"])),
                url=_VARIABLE.sub(lambda found: _variable(env, found[1], path), table["url"]),
                pattern=table.get("pattern", r".+"),
            )
        )
    if len({channel.id for channel in channels}) != len(channels):
        raise ConfigurationError(f"{path} has two channels of one id.")
    return channels


def _variable(environ: Mapping[str, str], name: str, path: Path) -> str:
    value = environ.get(name)
    if value is None:
        raise ConfigurationError(f"{path} takes {name} from the environment, where it is not set.")
    return quote(value, safe="")
