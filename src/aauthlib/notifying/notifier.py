"""Says what is in the outbox, and keeps where and when each person wants to be told.

A message never holds a token, a code, a claim or words of an agent's: those who write messages (`Teller`) see to it. It
leads to the page where the person, signed in, decides. A channel that fails is tried again; what it was about waits
whether anybody was told or not.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias
from urllib.parse import urlsplit

import msgspec

from ..base64url import b64url_encode
from ..effects import Clock, Flow
from ..errors import AAuthError, InvalidRequest, NotFound, RateLimited
from ..messages.codes import code_digest, random_code
from ..store.attempts import Attempts
from ..store.notification_records import WEB_PUSH, Due, Preferences, Subscription
from .channels import Channel
from .webpush import Rejected, Vanished, VapidKey, browser_target, push

__all__ = ["NOTIFY_EVERY_S", "Message", "NotificationStore", "Notifier", "Teller"]

_LEASE_S = 120.0
#: How long to wait before the next attempt: 30 seconds, doubled each time, at most an hour.
_RETRY_S, _MAX_RETRY_S, _ATTEMPTS = 30.0, 3600.0, 8
#: How often the outbox is looked at for what another process wrote and what became due, in seconds.
NOTIFY_EVERY_S = 2.0
_AT_ONCE = 8
_CODE_SYMBOLS = 8
_CODES_PER_HOUR = 10
_MAX_NAME_LENGTH = 64


@dataclass(frozen=True, slots=True)
class Message:
    """What is said, and where it leads."""

    title: str
    body: str
    url: str
    topic: str = field(default="waiting", repr=False)
    """Messages of one topic replace each other: at most 32 characters (RFC 8030, Section 5.4)."""


#: What to say to a person (their id) of what is in the outbox under a digest. Raises `NotFound` for what is not this
#: teller's, is not theirs any more, or is over.
Teller: TypeAlias = Callable[[str, str], Awaitable[Message]]


class FlowRunner(Protocol):
    """Carries out a flow: `transport.AsyncWire`."""

    async def run(self, flow: Flow[Any]) -> Any:
        """Run `flow` to its end."""


class NotificationStore(Protocol):
    """What a `Notifier` needs kept; see `store.notifications.SQLNotifications`. Every method is one transaction."""

    async def subscriptions_of(self, person_id: str) -> list[Subscription]: ...
    async def subscribe(self, subscription: Subscription, *, code_digest: str | None = None) -> None: ...
    async def confirm(self, id_: str, code_digest: str, *, person_id: str) -> None: ...
    async def unsubscribe(self, id_: str, *, person_id: str | None = None) -> None: ...
    async def preferences(self, person_id: str) -> Preferences: ...
    async def set_preferences(self, person_id: str, preferences: Preferences) -> None: ...
    async def vapid_key(self, made: str) -> str: ...
    async def claim_due(self, *, now: float, lease_s: float, limit: int = 50) -> list[Due]: ...
    async def delivered(self, due: Due, *, now: float) -> None: ...
    async def gave_up(self, due: Due) -> None: ...
    async def drop(self, due: Due) -> None: ...
    async def retry(self, due: Due, *, at: float) -> None: ...


class Notifier:
    """Tells people, and keeps where they want to be told. One per process.

    `tellers` know what to say, one for each role that this server is; `issuer` is where the messages come from, and
    where the person signs in.
    """

    def __init__(
        self,
        store: NotificationStore,
        tellers: Sequence[Teller],
        *,
        issuer: str,
        wire: FlowRunner,
        dev: bool = False,
        channels: Iterable[Channel] = (),
        clock: Clock,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
        random_below: Callable[[int], int] = secrets.randbelow,
    ) -> None:
        self._store, self._tellers = store, tuple(tellers)
        self._issuer, self._wire, self._dev = issuer, wire, dev
        self.channels = {channel.id: channel for channel in channels}
        self._clock = clock
        self._random_bytes, self._random_below = random_bytes, random_below
        self._codes = Attempts(limit=_CODES_PER_HOUR, window_s=3600.0, clock=clock)
        self._vapid: VapidKey | None = None

    def also(self, teller: Teller) -> None:
        """Another role of this server has something to say, too."""
        self._tellers = (*self._tellers, teller)

    # ------------------------------------------------------------------ where and when

    async def application_server_key(self) -> str:
        """What a browser needs to subscribe (RFC 8292). Raises `ConfigurationError` without the extra."""
        return (await self._vapid_key()).application_server_key

    async def subscribe_browser(self, person_id: str, *, endpoint: str, p256dh: str, auth: str, name: str) -> None:
        """Tell this browser from now on. Raises `InvalidRequest` or `RateLimited`."""
        target = browser_target(endpoint, p256dh, auth, dev=self._dev)
        await self._store.subscribe(self._subscription(person_id, WEB_PUSH, target, name, confirmed=True))

    async def subscribe(self, person_id: str, channel_id: str, to: str) -> None:
        """Send a code to an address; when the person has typed it they are told there.

        Raises `NotFound` for a channel that is not offered, `InvalidRequest`, `RateLimited`, or `NotDelivered`.
        """
        channel = self.channels.get(channel_id)
        if channel is None:
            raise NotFound("This server has no such channel.")
        address = channel.check(to)
        if self._codes.wait_s(person_id):
            raise RateLimited("Too many codes were sent for you. Try again in an hour.")
        self._codes.count(person_id)
        code = random_code(self._random_below, length=_CODE_SYMBOLS)
        place = self._subscription(
            person_id, channel_id, {"to": address}, f"{channel.name}: {address}", confirmed=False
        )
        await self._store.subscribe(place, code_digest=code_digest(code))
        body = f"The code is {code}. If you did not ask for it, ignore this message."
        try:
            await channel.send(address, f"Confirm for {self._host}", body, f"{self._issuer}/notifications")
        except AAuthError:
            await self._store.unsubscribe(place.id)
            raise

    async def confirm(self, person_id: str, id_: str, code: str) -> None:
        """The person typed the code. Raises `InvalidCode` or `NotFound`."""
        await self._store.confirm(id_, code_digest(code), person_id=person_id)

    async def unsubscribe(self, person_id: str, id_: str) -> None:
        """Tell them there no longer. Raises `NotFound`."""
        await self._store.unsubscribe(id_, person_id=person_id)

    async def subscriptions(self, person_id: str) -> list[Subscription]:
        """Where the person is told."""
        return await self._store.subscriptions_of(person_id)

    async def preferences(self, person_id: str) -> Preferences:
        """When the person is told."""
        return await self._store.preferences(person_id)

    async def set_preferences(self, person_id: str, preferences: Preferences) -> None:
        """Raises `InvalidRequest`."""
        preferences.check()
        await self._store.set_preferences(person_id, preferences)

    async def send_test(self, person_id: str, id_: str) -> None:
        """Say something there now. Raises `NotFound`, or what the channel raises."""
        for subscription in await self._store.subscriptions_of(person_id):
            if subscription.id == id_ and subscription.confirmed:
                text = "This is how you will be told when something waits for you."
                await self._send(subscription, Message(f"A test from {self._host}", text, self._issuer + "/", "test"))
                return
        raise NotFound("This place was removed already.")

    # ------------------------------------------------------------------ telling

    async def send_due(self) -> bool:
        """Say what is due; to be called every `NOTIFY_EVERY_S` seconds. Returns whether anything was."""
        due = await self._store.claim_due(now=self._clock(), lease_s=_LEASE_S)
        slots = asyncio.Semaphore(_AT_ONCE)

        async def deliver(one: Due) -> None:
            async with slots:
                await self._deliver(one)

        await asyncio.gather(*(deliver(one) for one in due))
        return bool(due)

    async def _deliver(self, due: Due) -> None:
        try:
            await self._send(due.subscription, await self._message(due))
        except Vanished:
            await self._store.unsubscribe(due.subscription.id)
        except NotFound:
            await self._store.drop(due)  # it is somebody else's to decide now, or over
        except (AAuthError, OSError) as error:
            if due.attempts + 1 >= _ATTEMPTS:
                await self._store.gave_up(due)
                return
            wait_s = min(_RETRY_S * 2**due.attempts, _MAX_RETRY_S)
            if isinstance(error, Rejected) and error.retry_after_s is not None:
                wait_s = min(max(wait_s, error.retry_after_s), _MAX_RETRY_S)
            await self._store.retry(due, at=self._clock() + wait_s)
        else:
            await self._store.delivered(due, now=self._clock())

    async def _send(self, subscription: Subscription, message: Message) -> None:
        if subscription.channel == WEB_PUSH:
            shown = {"title": message.title, "body": message.body, "url": message.url, "tag": message.topic}
            flow = push(
                subscription.target,
                msgspec.json.encode(shown),
                vapid=await self._vapid_key(),
                contact=self._issuer,
                topic=message.topic,
                clock=self._clock,
            )
            await self._wire.run(flow)
            return
        channel = self.channels.get(subscription.channel)
        if channel is None:
            raise InvalidRequest("The operator does not offer this channel any more.")
        await channel.send(subscription.target["to"], message.title, message.body, message.url)

    async def _message(self, due: Due) -> Message:
        if len(due.digests) > 1:
            return Message(f"{len(due.digests)} requests wait for you", f"At {self._host}.", self._issuer + "/")
        for teller in self._tellers:
            try:
                return await teller(due.digests[0], due.subscription.person_id)
            except NotFound:
                continue
        raise NotFound("It is somebody else's to decide now, or over.")

    # ------------------------------------------------------------------ inside

    @property
    def _host(self) -> str:
        return urlsplit(self._issuer).netloc

    async def _vapid_key(self) -> VapidKey:
        if self._vapid is None:
            self._vapid = VapidKey(await self._store.vapid_key(VapidKey.generate()))
        return self._vapid

    def _subscription(
        self, person_id: str, channel: str, target: dict[str, str], name: str, *, confirmed: bool
    ) -> Subscription:
        return Subscription(
            id=b64url_encode(self._random_bytes(16)),
            person_id=person_id,
            channel=channel,
            target=target,
            name=name[:_MAX_NAME_LENGTH],
            created_at=self._clock(),
            confirmed=confirmed,
        )
