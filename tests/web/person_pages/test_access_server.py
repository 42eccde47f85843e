"""What a person sees where an access server has the last word, and where others could not be told of an end."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from aauthlib.effects import Send
from aauthlib.http import Fields, Response, json_response
from aauthlib.person.cascade import RECORDED, UNAVAILABLE, UNSUPPORTED, RevocationOutcome
from aauthlib.web.person_pages.faces import places_told

from .conftest import Browser, Site
from .parties import page_url

ACCESS = "https://access.example"


def connect(site: Site, answer: Response) -> list[str]:
    """Put an access server on the wire that answers each request with `answer`. Returns the URLs it is asked at."""
    asked: list[str] = []
    document = {
        "issuer": ACCESS,
        "jwks_uri": ACCESS + "/jwks.json",
        "auth_token_endpoint": ACCESS + "/token",
        "revocation_endpoint": ACCESS + "/revoke",
    }
    directory: Any = site.app.wire.directory
    directory._metadata[ACCESS] = document

    async def send(effect: Send) -> Response:
        asked.append(effect.request.url)
        return answer if effect.request.origin == ACCESS else Response(503)

    site.app.wire.transport.send = send  # type: ignore[method-assign]
    return asked


def interaction() -> Response:
    fields = {
        "location": ACCESS + "/pending/1",
        "retry-after": "0",
        "aauth-requirement": f'requirement=interaction;url="{ACCESS}/bind";code="ABCD-1234"',
    }
    return Response(202, Fields(fields), msgspec.json.encode({"status": "pending"}))


async def open_consent(site: Site, browser: Browser) -> str:
    answer = await site.ask_auth_token(access_server=ACCESS)
    response = await browser.get(page_url(answer))
    await browser.get(response.headers["location"])
    return str(response.headers["location"])


@pytest.mark.spec("#consent-presentation", "#access-server-federation")
async def test_the_page_names_the_access_server_and_offers_all_or_nothing(site: Site, browser: Browser) -> None:
    connect(site, interaction())
    await open_consent(site, browser)
    assert "leaves the last word to its access server, access.example" in browser.text
    assert 'type="checkbox" name="scope"' not in browser.page


@pytest.mark.spec("#as-response", "#ps-as-trust-establishment")
async def test_a_person_who_agreed_is_sent_on_to_the_access_servers_page(site: Site, browser: Browser) -> None:
    asked = connect(site, interaction())
    here = await open_consent(site, browser)
    response = await browser.submit(here, decision="approve")
    assert response.headers["location"] == here
    await browser.get(here)
    assert asked == [ACCESS + "/token"]
    assert f'href="{ACCESS}/bind?code=ABCD-1234&amp;callback=https%3A%2F%2Fps.example%2Frequests%2F' in browser.page
    assert "Continue at access.example" in browser.text


def question(**body: Any) -> Response:
    fields = {
        "location": ACCESS + "/pending/1",
        "retry-after": "0",
        "aauth-requirement": "requirement=clarification",
        "content-type": "application/json",
    }
    document = {"status": "pending", "clarification": "Which *project*?<script>alert(1)</script>", **body}
    return Response(202, Fields(fields), msgspec.json.encode(document))


@pytest.mark.spec("#requirement-clarification", "#as-response", "#untrusted-input")
async def test_a_person_who_agreed_answers_the_access_servers_question(site: Site, browser: Browser) -> None:
    asked = connect(site, question())
    here = await open_consent(site, browser)
    await browser.submit(here, decision="approve")
    await browser.get(here)
    assert "One more question" in browser.text
    assert "In the words of access.example Which project ?" in browser.text
    assert "<script>alert" not in browser.page
    assert (await browser.submit(f"{here}/answer", answer="  ")).status_code == 400
    assert "must be the answer" in browser.text
    connect(site, json_response(403, {"error": "denied", "detail": "Not that one."}))
    assert (await browser.submit(f"{here}/answer", answer="Apollo")).headers["location"] == here
    await browser.get(here)
    assert "No access" in browser.text
    assert "Not that one." in browser.text
    assert "You answered Apollo" in browser.text
    assert asked == [ACCESS + "/token"]


@pytest.mark.spec("#requirement-clarification")
async def test_a_question_with_options_is_answered_by_one_of_them(site: Site, browser: Browser) -> None:
    connect(site, question(options=["Apollo", "Gemini"]))
    here = await open_consent(site, browser)
    await browser.submit(here, decision="approve")
    await browser.get("/")
    assert here in browser.page, "it is listed as waiting for the person"
    await browser.get(here)
    assert (await browser.submit(f"{here}/answer", choice="Mercury")).status_code == 400
    asked = connect(site, interaction())
    await browser.submit(f"{here}/answer", choice="Gemini")
    assert asked == [ACCESS + "/pending/1"]
    await browser.get(here)
    assert "Continue at access.example" in browser.text


@pytest.mark.spec("#requirement-clarification", "#ps-approval-endpoint-auth")
async def test_a_form_of_another_site_answers_nothing(site: Site, browser: Browser) -> None:
    connect(site, question())
    here = await open_consent(site, browser)
    await browser.submit(here, decision="approve")
    await browser.get(here)
    form = browser.form(f"{here}/answer") | {"answer": "Apollo"}
    asked = connect(site, interaction())
    for headers in ({"origin": "https://evil.example"}, {"sec_fetch_site": "cross-site"}):
        assert (await browser.post(f"{here}/answer", form, **headers)).status_code == 403
    assert (await browser.post(f"{here}/answer", form | {"csrf": "x"})).status_code == 403
    assert asked == []


@pytest.mark.spec("#interaction-callback-errors", "#ps-as-trust-establishment")
async def test_a_person_back_from_the_access_server_sees_how_it_ended(site: Site, browser: Browser) -> None:
    connect(site, interaction())
    here = await open_consent(site, browser)
    await browser.submit(here, decision="approve")
    asked = connect(site, json_response(403, {"error": "denied", "detail": "The person declined."}))
    await browser.get(here)
    assert asked == [], "it is not time to ask again, unless somebody comes back"
    await browser.get(f"{here}?from=access-server&error=access_denied")
    assert asked == [ACCESS + "/pending/1"]
    assert "No access" in browser.text
    assert "The person declined." in browser.text


@pytest.mark.spec("#access-server-federation")
async def test_a_person_who_agreed_is_told_who_has_the_last_word(site: Site, browser: Browser) -> None:
    connect(site, Response(503))
    here = await open_consent(site, browser)
    await browser.submit(here, decision="approve")
    await browser.get(here)
    assert "The last word has access.example" in browser.text


@pytest.mark.spec("#revocation-response")
async def test_a_person_sees_who_could_not_be_told_that_access_ended(make_site: Any) -> None:
    metadata = {"revocation_endpoint": "https://calendar.example/revoke"}
    site: Site = await make_site(resource_metadata=metadata)
    browser = site.browser()
    await browser.set_up()
    await site.person_token()
    connect(site, Response(200))
    await browser.get("/")
    response = await browser.submit("/agents/disconnect")
    assert response.status_code == 200
    assert "acts for you no more" in browser.text
    assert "calendar.example It could not be reached." in browser.text
    await browser.get("/")
    assert "Not told yet" in browser.text
    assert "May still serve aauth:" in browser.text
    site.clock.now += 60

    async def back(effect: Send) -> Response:
        return Response(200)

    site.app.wire.transport.send = back  # type: ignore[method-assign]
    assert await site.app.server.tell_again() == 1
    await browser.get("/")
    assert "Not told yet" not in browser.text


@pytest.mark.spec("#revocation-response")
def test_each_place_is_listed_once_by_its_worst_outcome() -> None:
    outcomes = [
        RevocationOutcome("https://one.example", "1", RECORDED),
        RevocationOutcome("https://one.example", "2", UNAVAILABLE),
        RevocationOutcome(
            ACCESS, "3", RECORDED, (("https://two.example", UNSUPPORTED), ("https://three.example", None))
        ),
    ]
    places = places_told(outcomes)
    assert [(place.name, place.told) for place in places] == [
        (ACCESS, True),
        ("https://one.example", False),
        ("https://three.example", True),
        ("https://two.example", False),
    ]
    assert "takes no such notice" in places[-1].text
