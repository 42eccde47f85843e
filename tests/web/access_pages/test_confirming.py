"""A person confirms a person server at the access server (#ps-as-trust-establishment, Interaction)."""

from __future__ import annotations

import pytest

from aauthlib.access import Allow, NeedInteraction
from aauthlib.errors import Denied
from aauthlib.http import Response
from aauthlib.keys import SigningKey
from tests.access.parties import CALENDAR, PS, World
from tests.web.person_pages.conftest import PASSWORD

from .conftest import Office

pytestmark = pytest.mark.spec("#ps-as-trust-establishment", "#user-interaction")


@pytest.fixture
async def asked(office: Office, world: World) -> Response:
    """A person server was told that the person has to come here."""
    world.policy.decide = lambda facts: Allow() if facts.bound_user else NeedInteraction()
    return await world.ask()


async def test_somebody_who_is_signed_in_confirms_and_the_access_server_trusts_that_server_for_them(
    office: Office, world: World, asked: Response
) -> None:
    ana = await office.administrator()
    arrived = await ana.get(office.page_of(asked))
    assert arrived.status_code == 303
    await ana.get(arrived.headers["location"])
    assert "Does ps.example speak for you?" in ana.text
    assert "aauth:helper@ap.example" in ana.text
    at = world.clock()
    assert (await ana.submit(arrived.headers["location"], decision="confirm")).status_code == 200
    assert "Confirmed" in ana.text
    assert (await world.poll(asked)).status == 200
    assert world.policy.seen[-1].bound_user == await office.person_id("ana")
    assert await office.decided() == [("confirmed", "ana", at)]
    assert (await world.ask()).status == 200, "the binding is made once"


async def test_the_code_is_used_up_after_sign_in_and_not_by_a_link_preview(
    office: Office, world: World, asked: Response
) -> None:
    await office.administrator()
    visitor = office.browser()
    for _ in range(2):
        await visitor.get(office.page_of(asked))
        assert "Sign in to say whether" in visitor.text
    signed_in = await visitor.submit("/sign-in", username="ana", password=PASSWORD)
    assert signed_in.headers["location"].startswith("/confirm/")
    assert (await visitor.get(office.page_of(asked))).status_code == 400, "the code works once"


async def test_a_wrong_code_asks_again_and_says_so(office: Office, asked: Response) -> None:
    ana = await office.administrator()
    page = office.page_of(asked).partition("?")[0]
    assert (await ana.get(page + "?code=AAAA-AAAA")).status_code == 400
    assert "Type the code" in ana.text
    code = office.page_of(asked).partition("?code=")[2]
    assert (await ana.submit(page, code=code)).headers["location"].startswith("/confirm/")


async def test_declining_ends_the_request_as_denied(office: Office, world: World, asked: Response) -> None:
    ana = await office.administrator()
    page = (await ana.get(office.page_of(asked))).headers["location"]
    await ana.get(page)
    await ana.submit(page, decision="decline")
    assert "Declined" in ana.text
    with pytest.raises(Denied):
        await world.poll(asked)
    assert [entry[:2] for entry in await office.decided()] == [("declined", "ana")]
    assert (await world.ask()).status == 202


async def test_nobody_but_who_arrived_sees_or_decides_it(office: Office, world: World, asked: Response) -> None:
    ana = await office.administrator()
    bo = await office.join("bo")
    page = (await ana.get(office.page_of(asked))).headers["location"]
    assert (await bo.get(page)).status_code == 410
    await bo.get("/security")
    token = bo.form("/sign-out")["csrf"]
    assert (await bo.post(page, {"csrf": token, "decision": "confirm"})).status_code == 410
    assert (await world.poll(asked)).status == 202


async def test_a_form_of_another_site_confirms_nothing(office: Office, world: World, asked: Response) -> None:
    ana = await office.administrator()
    page = (await ana.get(office.page_of(asked))).headers["location"]
    await ana.get(page)
    form = ana.form(page) | {"decision": "confirm"}
    refused = [
        await ana.post(page, form, origin="https://evil.example"),
        await ana.post(page, form, sec_fetch_site="cross-site"),
        await ana.post(page, form | {"csrf": "x"}),
    ]
    assert [answer.status_code for answer in refused] == [403, 403, 403]
    assert (await world.poll(asked)).status == 202


@pytest.mark.spec("#interaction-callback-errors")
async def test_the_browser_goes_back_to_the_person_server_that_sent_it(
    office: Office, world: World, asked: Response
) -> None:
    ana = await office.administrator()
    page = (await ana.get(office.page_of(asked, callback=f"{PS}/back?flow=1"))).headers["location"]
    await ana.get(page)
    assert (await ana.submit(page, decision="confirm")).headers["location"] == f"{PS}/back?flow=1"


@pytest.mark.spec("#interaction-callback-errors")
async def test_a_callback_hears_that_the_person_declined(office: Office, asked: Response) -> None:
    ana = await office.administrator()
    page = (await ana.get(office.page_of(asked, callback=f"{PS}/back"))).headers["location"]
    await ana.get(page)
    assert (await ana.submit(page, decision="decline")).headers["location"] == f"{PS}/back?error=access_denied"


async def test_the_page_sends_nobody_anywhere_else(office: Office, world: World) -> None:
    ana = await office.administrator()
    world.policy.decide = lambda facts: NeedInteraction()
    for number, callback in enumerate(
        ("https://evil.example/", "https://ps.example.evil.example/", "javascript:x", PS[:5], f"{PS}@x.example/")
    ):
        key = SigningKey.generate()
        asked = await world.ask(world.bundle(key, presented_token=world.person(key, sub=f"person-{number}")))
        page = (await ana.get(office.page_of(asked, callback=callback))).headers["location"]
        await ana.get(page)
        assert (await ana.submit(page, decision="confirm")).status_code == 200


async def test_a_person_takes_a_confirmation_back_with_the_access_it_gave(
    office: Office, world: World, asked: Response
) -> None:
    ana = await office.administrator()
    page = (await ana.get(office.page_of(asked))).headers["location"]
    await ana.get(page)
    await ana.submit(page, decision="confirm")
    token = await world.token_of(await world.poll(asked))
    await ana.get("/")
    assert "ps.example" in ana.text.partition("Person servers that speak for you")[2]
    assert (await ana.submit("/person-servers/take-back")).status_code == 303
    record = await office.app.server.store.issued(token.jti)
    assert record is not None
    assert record.revoked_at is not None
    assert [request.url for request in world.network.sent] == [f"{CALENDAR}/revoke"]
    assert (await world.ask()).status == 202


async def test_what_somebody_else_confirmed_is_not_theirs_to_take_back(
    office: Office, world: World, asked: Response
) -> None:
    ana = await office.administrator()
    page = (await ana.get(office.page_of(asked))).headers["location"]
    await ana.get(page)
    await ana.submit(page, decision="confirm")
    bo = await office.join("bo")
    await bo.get("/security")
    form = {"csrf": bo.form("/sign-out")["csrf"], "person_server": PS}
    assert (await bo.post("/person-servers/take-back", form)).status_code == 303
    assert (await world.ask()).status == 200
