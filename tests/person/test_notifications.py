"""Telling a person that something waits for them (#approval-pending, #ps-approval-endpoint-auth)."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import http_ece
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from aauthlib.base64url import b64url_decode, b64url_encode
from aauthlib.discovery import TransportError
from aauthlib.errors import ConfigurationError, InvalidCode, InvalidRequest, NotFound, RateLimited, UserUnreachable
from aauthlib.http import Fields, Request, Response
from aauthlib.notifying import AppriseChannel, NotDelivered, Notifier, read_channels
from aauthlib.person.notifications import notifier_of
from aauthlib.store.notification_records import Preferences
from aauthlib.store.notification_tables import notification_outbox
from aauthlib.store.notifications import MAX_SUBSCRIPTIONS

from .parties import ALICE, BOB, MAIL, PS, Agent, World, approve, resource_token

PUSH = "https://push.example/send/abc"


class Phone:
    """A browser that subscribed: its keys, and what it can read."""

    def __init__(self, endpoint: str = PUSH) -> None:
        self.endpoint = endpoint
        self.key, self.secret = ec.generate_private_key(ec.SECP256R1()), os.urandom(16)
        point = self.key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        self.p256dh, self.auth = b64url_encode(point), b64url_encode(self.secret)

    async def subscribe(self, notifier: Notifier, person_id: str = ALICE, **changes: str) -> None:
        values = {"endpoint": self.endpoint, "p256dh": self.p256dh, "auth": self.auth, "name": "Phone"} | changes
        await notifier.subscribe_browser(person_id, **values)

    def read(self, request: Request) -> dict[str, str]:
        text = http_ece.decrypt(request.body, private_key=self.key, auth_secret=self.secret, version="aes128gcm")
        said: dict[str, str] = msgspec.json.decode(text)
        return said


class Letterbox:
    """A channel whose messages a test reads."""

    id, name, label = "letters", "Letters", "Your address"

    def __init__(self) -> None:
        self.letters: list[tuple[str, str, str, str]] = []
        self.closed = False

    def check(self, to: str) -> str:
        if "@" not in to:
            raise InvalidRequest("Your address: this does not look like one.")
        return to

    async def send(self, to: str, title: str, body: str, url: str) -> None:
        if self.closed:
            raise NotDelivered("closed")
        self.letters.append((to, title, body, url))

    @property
    def code(self) -> str:
        return self.letters[-1][2].partition("The code is ")[2].partition(".")[0]


@pytest.fixture
def letterbox() -> Letterbox:
    return Letterbox()


@pytest.fixture
def notifier(world: World, letterbox: Letterbox) -> Notifier:
    return notifier_of(world.server, world.server.store, channels=[letterbox], clock=world.clock)


@pytest.fixture
async def agent(world: World) -> Agent:
    """An agent that is connected to Alice."""
    agent = world.agent()
    await approve(world, await agent.ask_person_token())
    return agent


def digest_in(url: str) -> str:
    return url.removeprefix(f"{PS}/requests/")


# ------------------------------------------------------------------------- what is said


async def test_a_request_of_a_connected_agent_is_said_to_the_persons_browser_and_leads_to_its_page(
    world: World, notifier: Notifier, agent: Agent
) -> None:
    phone = Phone()
    await phone.subscribe(notifier)
    await agent.ask_person_token(resource=MAIL)
    assert await notifier.send_due()
    (request,) = world.network.sent
    said = phone.read(request)
    assert request.url == PUSH
    assert said["body"] == "ap.example asks to act as you at mail.example."
    view = await world.server.consent(digest_in(said["url"]), person_id=ALICE)
    assert view.resource.issuer == MAIL


async def test_a_message_has_none_of_the_agents_words_and_no_secret(
    world: World, notifier: Notifier, agent: Agent
) -> None:
    phone = Phone()
    await phone.subscribe(notifier)
    response = await agent.ask_person_token(
        resource=MAIL, justification="URGENT: call 555-0100", device="Alice's bank", login_hint="alice@example.org"
    )
    await notifier.send_due()
    text = msgspec.json.encode(phone.read(world.network.sent[0])).decode()
    code = (response.headers.get("aauth-requirement") or "").partition('code="')[2].partition('"')[0]
    assert code
    location = (response.headers.get("location") or "").rpartition("/")[2]
    for secret in ("555-0100", "bank", "alice@example.org", code, location, ALICE, agent.token):
        assert secret not in text


async def test_nobody_is_told_of_an_agent_that_is_not_connected(world: World, notifier: Notifier) -> None:
    await Phone().subscribe(notifier)
    await world.agent("stranger").ask_person_token()
    assert not await notifier.send_due()
    assert world.network.sent == []


async def test_only_the_person_the_agent_acts_for_is_told(world: World, notifier: Notifier, agent: Agent) -> None:
    await Phone().subscribe(notifier, BOB)
    await agent.ask_person_token(resource=MAIL)
    assert not await notifier.send_due()


async def test_what_was_decided_meanwhile_is_not_said(world: World, notifier: Notifier, agent: Agent) -> None:
    await Phone().subscribe(notifier)
    await approve(world, await agent.ask_person_token(resource=MAIL))
    assert not await notifier.send_due()
    assert await _outbox(world) == 0


async def test_what_timed_out_is_not_said(world: World, notifier: Notifier, agent: Agent) -> None:
    await Phone().subscribe(notifier)
    await agent.ask_person_token(resource=MAIL)
    world.clock.now += 3600
    assert not await notifier.send_due()
    assert await _outbox(world) == 0


async def test_what_another_person_took_over_is_not_said(world: World, notifier: Notifier, agent: Agent) -> None:
    await Phone().subscribe(notifier)
    await agent.ask_person_token(resource=MAIL)
    await world.server.disconnect(ALICE, agent.identity)
    await notifier.send_due()
    assert world.network.sent == []
    assert await _outbox(world) == 0


# ------------------------------------------------------------------------- Web Push


async def test_the_push_service_is_told_which_server_sends_and_for_it_alone(
    world: World, notifier: Notifier, agent: Agent
) -> None:
    await Phone().subscribe(notifier)
    await agent.ask_person_token(resource=MAIL)
    await notifier.send_due()
    (request,) = world.network.sent
    scheme, _, fields = (request.headers.get("authorization") or "").partition(" ")
    token = fields.partition("t=")[2].partition(",")[0]
    key = fields.partition("k=")[2].strip()
    header, payload = (msgspec.json.decode(b64url_decode(part)) for part in token.split(".")[:2])
    assert (scheme, header["alg"], key) == ("vapid", "ES256", await notifier.application_server_key())
    assert (payload["aud"], payload["sub"]) == ("https://push.example", PS)
    assert world.clock() < payload["exp"] <= world.clock() + 86_400
    assert request.headers.get("ttl") == "3600"


async def test_every_process_and_every_start_has_the_same_key(world: World, notifier: Notifier) -> None:
    other = notifier_of(world.server, world.server.store, clock=world.clock)
    assert await other.application_server_key() == await notifier.application_server_key()


@pytest.mark.parametrize("status", [404, 410])
async def test_a_browser_that_left_is_forgotten(world: World, notifier: Notifier, agent: Agent, status: int) -> None:
    await Phone().subscribe(notifier)
    await agent.ask_person_token(resource=MAIL)
    world.network.answers = [Response(status)]
    await notifier.send_due()
    assert await notifier.subscriptions(ALICE) == []
    assert await _outbox(world) == 0


@pytest.mark.parametrize(
    "answer", [Response(500), Response(429), TransportError("no route")], ids=["error", "slow down", "unreachable"]
)
async def test_a_message_that_was_not_taken_is_sent_again_later(
    world: World, notifier: Notifier, agent: Agent, answer: Any
) -> None:
    await Phone().subscribe(notifier)
    await agent.ask_person_token(resource=MAIL)
    world.network.answers = [answer]
    await notifier.send_due()
    assert not await notifier.send_due()
    world.clock.now += 30
    assert await notifier.send_due()
    assert len(world.network.sent) == 2
    assert (await notifier.subscriptions(ALICE))[0].delivered_at == world.clock()


async def test_a_push_service_is_waited_for_as_long_as_it_asks(world: World, notifier: Notifier, agent: Agent) -> None:
    await Phone().subscribe(notifier)
    await agent.ask_person_token(resource=MAIL)
    world.network.answers = [Response(429, Fields([("retry-after", "100")]))]
    await notifier.send_due()
    world.clock.now += 99
    assert not await notifier.send_due()
    world.clock.now += 1
    assert await notifier.send_due()


async def test_what_can_never_be_delivered_is_given_up_and_the_request_still_waits(
    world: World, notifier: Notifier, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aauthlib.notifying.notifier._ATTEMPTS", 3)
    await Phone().subscribe(notifier)
    await agent.ask_person_token(resource=MAIL)
    world.network.answers = [Response(500)] * 3
    for wait_s in (30, 60, 120):
        assert await notifier.send_due()
        assert not await notifier.send_due()
        world.clock.now += wait_s
    assert not await notifier.send_due()
    assert await _outbox(world) == 0
    assert (await notifier.subscriptions(ALICE))[0].failures == 1
    assert len(await world.server.pending_for(ALICE)) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"endpoint": "http://push.example/x"},
        {"endpoint": "https://user:pw@push.example/x"},
        {"endpoint": "javascript:alert(1)"},
        {"endpoint": "https://push.example/" + "x" * 2048},
        {"p256dh": b64url_encode(b"\x04" + bytes(63))},
        {"p256dh": b64url_encode(b"\x02" + bytes(64))},
        {"p256dh": "!"},
        {"auth": b64url_encode(bytes(15))},
    ],
    ids=["http", "userinfo", "scheme", "long", "short key", "compressed", "not base64url", "short secret"],
)
async def test_a_subscription_that_is_none_is_refused(notifier: Notifier, changes: dict[str, str]) -> None:
    with pytest.raises(InvalidRequest):
        await Phone().subscribe(notifier, **changes)
    assert await notifier.subscriptions(ALICE) == []


async def test_a_browser_that_somebody_else_signs_in_with_tells_the_other_person_no_longer(notifier: Notifier) -> None:
    phone = Phone()
    await phone.subscribe(notifier, ALICE)
    await phone.subscribe(notifier, BOB)
    assert await notifier.subscriptions(ALICE) == []
    assert len(await notifier.subscriptions(BOB)) == 1


async def test_places_are_bounded(notifier: Notifier) -> None:
    for number in range(MAX_SUBSCRIPTIONS):
        await Phone(f"{PUSH}/{number}").subscribe(notifier)
    with pytest.raises(RateLimited):
        await Phone(f"{PUSH}/more").subscribe(notifier)


# ------------------------------------------------------------------------- the outbox


async def test_two_processes_say_it_once(world: World, notifier: Notifier, agent: Agent) -> None:
    other = notifier_of(world.server, world.server.store, clock=world.clock)
    await Phone().subscribe(notifier)
    await agent.ask_person_token(resource=MAIL)
    await asyncio.gather(notifier.send_due(), other.send_due())
    assert len(world.network.sent) == 1


async def test_what_a_process_that_died_had_taken_is_said_by_another(
    world: World, notifier: Notifier, agent: Agent
) -> None:
    await Phone().subscribe(notifier)
    await agent.ask_person_token(resource=MAIL)
    store: Any = world.server.store
    assert len(await store.claim_due(now=world.clock(), lease_s=120)) == 1  # and then it died
    assert not await notifier.send_due()
    world.clock.now += 120
    assert await notifier.send_due()


async def test_each_place_is_told_by_itself_so_one_that_fails_delays_no_other(
    world: World, notifier: Notifier, letterbox: Letterbox, agent: Agent
) -> None:
    await Phone().subscribe(notifier)
    await _confirmed(notifier, letterbox)
    await agent.ask_person_token(resource=MAIL)
    world.network.answers = [Response(500)]
    await notifier.send_due()
    assert len(letterbox.letters) == 2  # the code, and the message
    world.clock.now += 30
    await notifier.send_due()
    assert (len(world.network.sent), len(letterbox.letters)) == (2, 2)


# ------------------------------------------------------------------------- channels


async def test_an_address_counts_when_the_code_that_was_sent_there_is_typed(
    world: World, notifier: Notifier, letterbox: Letterbox, agent: Agent
) -> None:
    await notifier.subscribe(ALICE, "letters", "alice@example.org")
    await agent.ask_person_token(resource=MAIL)
    assert not await notifier.send_due(), "nothing but the code goes to an address that is not confirmed"
    (place,) = await notifier.subscriptions(ALICE)
    await notifier.confirm(ALICE, place.id, letterbox.code)
    await agent.ask_person_token(resource=MAIL, prompt="consent")
    assert await notifier.send_due()
    assert letterbox.letters[-1][0] == "alice@example.org"
    assert letterbox.letters[-1][3].startswith(f"{PS}/requests/")


async def test_a_code_cannot_be_guessed(notifier: Notifier, letterbox: Letterbox) -> None:
    await notifier.subscribe(ALICE, "letters", "alice@example.org")
    (place,) = await notifier.subscriptions(ALICE)
    for _ in range(5):
        with pytest.raises(InvalidCode):
            await notifier.confirm(ALICE, place.id, "AAAA-AAAA")
    with pytest.raises(NotFound):
        await notifier.confirm(ALICE, place.id, letterbox.code)


async def test_nobody_confirms_or_removes_anothers_place(notifier: Notifier, letterbox: Letterbox) -> None:
    await notifier.subscribe(ALICE, "letters", "alice@example.org")
    (place,) = await notifier.subscriptions(ALICE)
    for attempt in (
        notifier.confirm(BOB, place.id, letterbox.code),
        notifier.unsubscribe(BOB, place.id),
        notifier.send_test(BOB, place.id),
    ):
        with pytest.raises(NotFound):
            await attempt
    assert len(await notifier.subscriptions(ALICE)) == 1


async def test_codes_to_strangers_addresses_are_bounded(notifier: Notifier, letterbox: Letterbox) -> None:
    for number in range(10):
        await notifier.subscribe(ALICE, "letters", f"{number}@example.org")
    with pytest.raises(RateLimited):
        await notifier.subscribe(ALICE, "letters", "more@example.org")
    assert len(letterbox.letters) == 10


async def test_an_address_that_cannot_be_reached_is_not_kept(notifier: Notifier, letterbox: Letterbox) -> None:
    letterbox.closed = True
    with pytest.raises(NotDelivered):
        await notifier.subscribe(ALICE, "letters", "alice@example.org")
    assert await notifier.subscriptions(ALICE) == []


async def test_a_channel_nobody_offers_is_not_there(notifier: Notifier) -> None:
    for channel in ("webpush", "nonsense"):
        with pytest.raises(NotFound):
            await notifier.subscribe(ALICE, channel, "alice@example.org")


async def test_a_test_message_goes_to_a_confirmed_place(notifier: Notifier, letterbox: Letterbox) -> None:
    place = await _confirmed(notifier, letterbox)
    await notifier.send_test(ALICE, place)
    assert letterbox.letters[-1][1] == "A test from ps.example"


def test_channels_are_read_from_a_file_and_secrets_from_the_environment(tmp_path: Path) -> None:
    path = tmp_path / "channels.toml"
    path.write_text('[[channel]]\nid = "email"\nname = "E-mail"\nurl = "mailtos://robot:${PW}@mail.example?to={to}"\n')
    (channel,) = read_channels(path, {"PW": "p@ss/word"})
    assert isinstance(channel, AppriseChannel)
    assert channel.url == "mailtos://robot:p%40ss%2Fword@mail.example?to={to}"
    assert "p%40ss" not in repr(channel)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x", "not TOML"),
        ("a = 1", "nothing else"),
        ("[channel]\nid = 1", "nothing else"),
        ('[[channel]]\nid = "a"', "id, name and url"),
        ('[[channel]]\nid = "a"\nname = "A"\nurl = "json://x/{to}"\nextra = "b"', "id, name and url"),
        ('[[channel]]\nid = 1\nname = "A"\nurl = "json://x/{to}"', "is a text"),
        ('[[channel]]\nid = "A B"\nname = "A"\nurl = "json://x/{to}"', "short word"),
        ('[[channel]]\nid = "webpush"\nname = "A"\nurl = "json://x/{to}"', "short word"),
        ('[[channel]]\nid = "a"\nname = "A"\nurl = "json://x/"', "exactly once"),
        ('[[channel]]\nid = "a"\nname = "A"\nurl = "nonsense://x/{to}"', "does not know"),
        ('[[channel]]\nid = "a"\nname = "A"\nurl = "json://x/{to}"\npattern = "("', "regular expression"),
        ('[[channel]]\nid = "a"\nname = "A"\nurl = "json://${NONE}/{to}"', "NONE"),
        ('[[channel]]\nid = "a"\nname = "A"\nurl = "json://x/{to}"\n' * 2, "two channels"),
    ],
)
def test_a_file_that_cannot_work_is_refused_and_says_why(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "channels.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=words):
        read_channels(path, {})


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"gone\.toml"):
        read_channels(tmp_path / "gone.toml")


@pytest.mark.parametrize(
    "to", ["", " ", "a b", "a,b@example", "x/../y", "a?b", "a&b", "a%2Cb", "a\x00b", "a\nb", "x" * 321, "nomatch"]
)
def test_an_address_that_a_plugin_could_read_as_something_else_is_refused(to: str) -> None:
    channel = AppriseChannel("email", "E-mail", "Address", "mailtos://robot:pw@mail.example?to={to}", r"[^@]+@[^@]+")
    with pytest.raises(InvalidRequest):
        channel.check(to)
    assert channel.check(" alice@example.org ") == "alice@example.org"


# ------------------------------------------------------------------------- when


async def test_in_quiet_hours_nothing_is_said_until_they_end(world: World, notifier: Notifier, agent: Agent) -> None:
    await Phone().subscribe(notifier)
    await notifier.set_preferences(ALICE, Preferences(7 * 60 + 55, 8 * 60 + 5, "UTC"))  # it is eight o'clock
    await agent.ask_person_token(resource=MAIL)
    world.clock.now += 299
    assert not await notifier.send_due()
    world.clock.now += 1
    assert await notifier.send_due()


async def test_a_digest_is_one_message_about_several_requests(world: World, notifier: Notifier, agent: Agent) -> None:
    phone = Phone()
    await phone.subscribe(notifier)
    await notifier.set_preferences(ALICE, Preferences(digest_minutes=5))
    await agent.ask_person_token(resource=MAIL)
    token = await agent.person_token()
    await agent.ask_auth_token(resource_token(world, token), token)
    assert not await notifier.send_due()
    world.clock.now += 300
    await notifier.send_due()
    (request,) = world.network.sent
    said = phone.read(request)
    assert (said["title"], said["url"]) == ("2 requests wait for you", f"{PS}/")


@pytest.mark.parametrize(
    ("now", "quiet", "due"),
    [
        ("2026-11-25T21:59", (22 * 60, 7 * 60), "2026-11-25T21:59"),
        ("2026-11-25T22:00", (22 * 60, 7 * 60), "2026-11-26T07:00"),
        ("2026-11-26T06:59", (22 * 60, 7 * 60), "2026-11-26T07:00"),
        ("2026-11-26T07:00", (22 * 60, 7 * 60), "2026-11-26T07:00"),
        ("2026-11-25T13:30", (13 * 60, 14 * 60), "2026-11-25T14:00"),
        ("2026-03-28T23:30", (22 * 60, 7 * 60), "2026-03-29T07:00"),  # the clocks go forward in between
        ("2026-10-24T23:30", (22 * 60, 7 * 60), "2026-10-25T07:00"),  # and back
        ("2026-11-25T12:00", (8 * 60, 8 * 60), "2026-11-25T12:00"),
    ],
)
def test_quiet_hours_are_the_persons_own(now: str, quiet: tuple[int, int], due: str) -> None:
    from datetime import datetime
    from zoneinfo import ZoneInfo

    madrid = ZoneInfo("Europe/Madrid")
    stamp = datetime.fromisoformat(now).replace(tzinfo=madrid).timestamp()
    found = Preferences(*quiet, zone="Europe/Madrid").due_at(stamp)
    assert datetime.fromtimestamp(found, madrid).isoformat(timespec="minutes")[:16] == due


@given(
    st.floats(1.7e9, 2e9),
    st.integers(0, 1439),
    st.integers(0, 1439),
    st.sampled_from(["UTC", "Europe/Madrid", "Asia/Kathmandu", "America/St_Johns", "Pacific/Apia"]),
    st.integers(0, 1440),
)
def test_nothing_is_said_before_it_happened_nor_two_days_late(
    now: float, begins: int, ends: int, zone: str, digest: int
) -> None:
    preferences = Preferences(begins, ends, zone, digest)
    preferences.check()
    assert now <= preferences.due_at(now) <= now + 2 * 86_400 + 7200


@pytest.mark.parametrize(
    "preferences",
    [
        Preferences(quiet_from=60),
        Preferences(quiet_until=60),
        Preferences(-1, 60),
        Preferences(0, 1440),
        Preferences(digest_minutes=1441),
        Preferences(digest_minutes=-1),
        Preferences(zone="../../etc/passwd"),
    ],
)
async def test_preferences_no_form_sends_are_refused(notifier: Notifier, preferences: Preferences) -> None:
    with pytest.raises(InvalidRequest):
        await notifier.set_preferences(ALICE, preferences)


# ------------------------------------------------------------------------- requirement=approval


@pytest.mark.spec("#approval-pending", "#token-endpoint-error-codes")
async def test_a_person_who_can_be_told_decides_for_an_agent_that_can_send_nobody_anywhere(
    world: World, notifier: Notifier, agent: Agent
) -> None:
    with pytest.raises(UserUnreachable):
        await agent.ask_person_token(resource=MAIL, capabilities=[])
    phone = Phone()
    await phone.subscribe(notifier)
    waiting = await agent.ask_person_token(resource=MAIL, capabilities=[])
    assert (waiting.status, waiting.headers.get("aauth-requirement")) == (202, "requirement=approval")
    await notifier.send_due()
    await world.server.approve(digest_in(phone.read(world.network.sent[0])["url"]), person_id=ALICE)
    assert "person_token" in (await agent.poll(waiting)).json()


@pytest.mark.spec("#token-endpoint-error-codes")
async def test_an_unconfirmed_address_reaches_nobody(
    world: World, notifier: Notifier, letterbox: Letterbox, agent: Agent
) -> None:
    await notifier.subscribe(ALICE, "letters", "alice@example.org")
    with pytest.raises(UserUnreachable):
        await agent.ask_person_token(resource=MAIL, capabilities=[])


async def test_an_agent_nobody_is_connected_to_reaches_nobody(world: World, notifier: Notifier) -> None:
    await Phone().subscribe(notifier)
    with pytest.raises(UserUnreachable):
        await world.agent("stranger").ask_person_token(capabilities=[])


# ------------------------------------------------------------------------- helpers


async def _outbox(world: World) -> int:
    async with world.database.transaction() as connection:
        return len((await connection.execute(select(notification_outbox))).all())


async def _confirmed(notifier: Notifier, letterbox: Letterbox) -> str:
    await notifier.subscribe(ALICE, "letters", "alice@example.org")
    place = next(place for place in await notifier.subscriptions(ALICE) if not place.confirmed)
    await notifier.confirm(ALICE, place.id, letterbox.code)
    return place.id
