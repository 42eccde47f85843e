"""A person server that is an access server too, at one identifier (#ps-as-collapse)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from aauthlib.access import (
    Allow,
    AskClaims,
    AskQuestion,
    CallablePolicy,
    Decision,
    Deny,
    Facts,
    NeedApproval,
    NeedInteraction,
)
from aauthlib.discovery import StaticDirectory
from aauthlib.effects import Send
from aauthlib.errors import ConfigurationError, ProblemError
from aauthlib.http import Response
from aauthlib.httpsig import JWKSURI, sign
from aauthlib.keys import JWKS, SigningKey
from aauthlib.messages.metadata import AccessServerMetadata, read_metadata
from aauthlib.tokens import ACCESS_DWK, PERSON_DWK, AuthToken, VerificationPolicy
from aauthlib.tokens.profile import read
from aauthlib.web.collapsing import AccessRole
from aauthlib.web.person import build_person_app
from tests.web.person_pages.conftest import Browser, MakeSite, Site
from tests.web.person_pages.conftest import make_site as make_site
from tests.web.person_pages.parties import page_url

pytestmark = pytest.mark.spec("#ps-as-collapse")

PS = "https://ps.example"
CALENDAR = "https://calendar.example"


class Transport:
    """What leaves the process."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    async def send(self, effect: Send) -> Response:
        self.sent.append(effect.request.url)
        return Response(200)

    async def aclose(self) -> None:
        """Nothing is open."""


class Organisation:
    """The server, its policy, and a person of it who is signed in: the one who set it up."""

    def __init__(self, site: Site, browser: Browser, transport: Transport, facts: list[Facts]) -> None:
        self.site, self.browser, self.transport, self.facts = site, browser, transport, facts
        self.decide: Callable[[Facts], Decision] = lambda facts: Allow()

    async def ask(self, scope: str = "calendar.read", **body: Any) -> Response:
        """An agent asks, and the person says yes on the page."""
        answer = await self.site.ask_auth_token(scope, **body)
        if answer.status == 202 and (answer.headers.get("aauth-requirement") or "").startswith(
            "requirement=interaction"
        ):
            here = (await self.browser.get(page_url(answer))).headers["location"]
            await self.browser.get(here)
            await self.browser.submit(here, decision="approve")
        return answer

    async def poll(self, answer: Response) -> Response:
        self.site.clock.now += 5
        return await self.site.poll(answer)

    async def token(self, answer: Response) -> AuthToken:
        """What the agent got, verified with the keys its header says."""
        text = (answer if answer.status == 200 else await self.poll(answer)).json()["auth_token"]
        token: AuthToken = read(text, AuthToken, now=self.site.clock(), policy=VerificationPolicy()).token
        assert self.site.app.access is not None
        server = self.site.app.access.server if token.dwk == ACCESS_DWK else self.site.app.server
        assert server.jwks().find(token.kid) is not None
        return token


@pytest.fixture
async def organisation(make_site: MakeSite) -> Organisation:
    facts: list[Facts] = []
    made: list[Organisation] = []

    def decide(seen: Facts) -> Decision:
        facts.append(seen)
        return made[0].decide(seen)

    transport = Transport()
    role = AccessRole(policy=CallablePolicy(decide, version="1"), resources=[CALENDAR])
    metadata = {"revocation_endpoint": f"{CALENDAR}/revoke"}
    site = await make_site(access=role, sender=transport, resource_metadata=metadata)
    browser = site.browser()
    assert (await browser.set_up()).status_code == 303
    made.append(Organisation(site, browser, transport, facts))
    return made[0]


async def test_one_evaluation_of_consent_and_policy_gives_an_access_servers_token(organisation: Organisation) -> None:
    token = await organisation.token(await organisation.ask())
    assert (token.iss, token.dwk, token.ps, token.aud) == (PS, ACCESS_DWK, PS, CALENDAR)
    assert token.scope == ("calendar.read",)
    assert organisation.transport.sent == [], "nothing leaves the process"
    assert [each.scope for each in organisation.facts] == [("calendar.read",)]


async def test_the_policy_has_the_last_word_after_the_person(organisation: Organisation) -> None:
    organisation.decide = lambda facts: Deny("Not on Sundays.")
    answer = await organisation.ask()
    with pytest.raises(ProblemError, match="Not on Sundays"):
        await organisation.poll(answer)


async def test_without_the_persons_yes_the_policy_is_not_asked(organisation: Organisation) -> None:
    answer = await organisation.site.ask_auth_token("calendar.read")
    here = (await organisation.browser.get(page_url(answer))).headers["location"]
    await organisation.browser.get(here)
    await organisation.browser.submit(here, decision="deny")
    with pytest.raises(ProblemError, match="declined"):
        await organisation.site.poll(answer)
    assert organisation.facts == []


async def test_a_resource_that_has_not_chosen_it_gets_the_person_servers_own_token(make_site: MakeSite) -> None:
    role = AccessRole(policy=CallablePolicy(lambda facts: Deny("no")), resources=["https://other.example"])
    site = await make_site(access=role)
    browser = site.browser()
    await browser.set_up()
    three_party = Organisation(site, browser, Transport(), [])
    token = await three_party.token(await three_party.ask())
    assert (token.iss, token.dwk) == (PS, PERSON_DWK)


async def test_trust_is_implicit_and_the_person_is_known(organisation: Organisation) -> None:
    organisation.decide = lambda facts: Allow() if facts.trusted and facts.bound_user else NeedInteraction()
    await organisation.token(await organisation.ask())
    assert organisation.facts[-1].bound_user == await organisation.site.person_id()
    assert organisation.facts[-1].person_server == PS


async def test_claims_and_a_question_are_answered_within(organisation: Organisation) -> None:
    def decide(facts: Facts) -> Decision:
        if not facts.claims_asked:
            return AskClaims(("name", "email"))
        return Allow() if facts.answers else AskQuestion("Which project?")

    organisation.decide = decide
    answer = await organisation.ask("calendar.read profile")
    digest = str((await organisation.site.app.server.pending_for(await organisation.site.person_id()))[0].digest)
    await organisation.browser.get(f"/requests/{digest}")
    assert "Which project?" in organisation.browser.text
    await organisation.browser.submit(f"/requests/{digest}/answer", answer="Apollo")
    token = await organisation.token(answer)
    assert token.scope == ("calendar.read", "profile")
    assert organisation.facts[-1].claims["name"] == "Ana Example"
    assert "email" not in organisation.facts[-1].claims, "the person released what profile says, and no more"
    assert organisation.transport.sent == []


async def test_an_approval_is_given_on_its_pages_in_the_same_session(organisation: Organisation) -> None:
    organisation.decide = lambda facts: Allow() if facts.approved_by else NeedApproval()
    answer = await organisation.ask()
    await organisation.browser.get("/")
    assert 'href="/access/"' in organisation.browser.page
    await organisation.browser.get("/access/")
    path = organisation.browser.page.partition('href="/access/approvals/')[2].partition('"')[0]
    page = f"/access/approvals/{path}"
    await organisation.browser.get(page)
    assert "who confirmed here" in organisation.browser.text
    # Whoever asks is the only one there is, and nobody approves their own request.
    assert (await organisation.browser.submit(page, decision="approve")).status_code == 403
    people: Any = organisation.site.app.access and organisation.site.app.access.people
    secret = await people.invite(await organisation.site.person_id(), "approver")
    olga = organisation.site.browser()
    await olga.get(f"/access/join/{secret}")
    fields = {"display_name": "Olga", "username": "olga", "password": "correct horse battery", "email": ""}
    assert (await olga.submit(f"/access/join/{secret}", **fields)).headers["location"] == "/access/?saved=joined"
    await olga.get(page)
    assert (await olga.submit(page, decision="approve")).headers["location"] == "/access/?saved=approved"
    await organisation.token(answer)
    await olga.get("/security")
    assert "Security" in olga.text, "it is the same account at the person server"


@pytest.mark.spec("#re-authorization")
async def test_a_step_up_presents_the_access_servers_own_token(organisation: Organisation) -> None:
    first = await organisation.ask()
    text = (await organisation.poll(first)).json()["auth_token"]
    parties = organisation.site.parties
    read_token = read(text, AuthToken, now=organisation.site.clock(), policy=VerificationPolicy()).token
    request = parties.step_up(read_token, text, "calendar.read calendar.write")
    answer = await organisation.site.app.server.auth_token(request)
    here = (await organisation.browser.get(page_url(answer))).headers["location"]
    await organisation.browser.get(here)
    await organisation.browser.submit(here, decision="approve")
    token = await organisation.token(answer)
    assert token.scope == ("calendar.read", "calendar.write")
    assert organisation.facts[-1].step_up


@pytest.mark.spec("#revocation-cascade")
async def test_disconnecting_an_agent_ends_its_access_through_both_roles(organisation: Organisation) -> None:
    token = await organisation.token(await organisation.ask())
    await organisation.browser.get("/")
    await organisation.browser.submit("/agents/disconnect")
    part: Any = organisation.site.app.access
    record = await part.server.store.issued(token.jti)
    assert record.revoked_at is not None
    assert organisation.transport.sent.count(f"{CALENDAR}/revoke") == 2, "the person token, and the auth token"


@pytest.mark.spec("#access-server-metadata", "#ps-as-federation")
async def test_other_person_servers_ask_it_as_any_access_server(organisation: Organisation) -> None:
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=organisation.site.app), base_url=PS) as client:
        document = (await client.get("/.well-known/aauth-access.json")).json()
        metadata = read_metadata(AccessServerMetadata, document, issuer=PS)
        assert metadata.auth_token_endpoint == f"{PS}/access/auth-token"
        assert (await client.get("/.well-known/aauth-person.json")).json()["auth_token_endpoint"] == f"{PS}/auth-token"
        assert (await client.get(metadata.jwks_uri or "")).json() != organisation.site.app.server.jwks().to_document()
        unsigned = await client.post("/access/auth-token", content=b"{}", headers={"content-type": "application/json"})
        assert unsigned.status_code == 401
        key, other = SigningKey.generate(), "https://ps.other.example"
        directory: Any = organisation.site.app.wire.directory
        assert isinstance(directory, StaticDirectory)
        directory.publish(other, JWKS.of(key))
        from aauthlib.http import Fields, Request

        body = b'{"resource_token":"a.b.c","agent_token":"a.b.c","presented_token":"a.b.c"}'
        fields = Fields({"content-type": "application/json"})
        request = sign(
            Request("POST", f"{PS}/access/auth-token", fields, body),
            key,
            JWKSURI(other, PERSON_DWK, key.kid),
            created=int(organisation.site.clock()),
        )
        headers = [(name, value) for name, value in request.headers if name != "host"]
        answer = await client.post("/access/auth-token", content=body, headers=headers)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_resource_token")


async def test_nobody_claims_it_without_the_code_by_either_way_in(make_site: MakeSite) -> None:
    role = AccessRole(policy=CallablePolicy(lambda facts: Allow()), resources=[CALENDAR])
    site = await make_site(access=role, setup_code_required=True)
    browser = site.browser()
    for path in ("/setup", "/access/setup"):
        await browser.get(path)
        fields = {"display_name": "Eve", "username": "eve", "password": "correct horse battery", "email": ""}
        assert (await browser.submit(path, **fields)).status_code == 400
    assert site.app.setup_code is not None
    assert (await browser.set_up(setup_code=site.app.setup_code)).status_code == 303
    part: Any = site.app.access
    person = await part.people.person(await site.person_id())
    assert person.role == "administrator"


async def test_accounts_of_a_person_server_that_becomes_one_are_offered_its_administration(
    make_site: MakeSite, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/grown.db"
    before = await make_site(database_url=url)
    await before.browser().set_up()
    role = AccessRole(policy=CallablePolicy(lambda facts: Allow()), resources=[CALENDAR])
    after = await make_site(database_url=url, access=role)
    part: Any = after.app.access
    browser = after.browser()
    await browser.sign_in()
    assert (await browser.get("/access/people")).status_code == 403
    await browser.get(f"/access/join/{part.invitation}")
    await browser.submit(f"/access/join/{part.invitation}")
    assert (await browser.get("/access/people")).status_code == 200


async def test_it_says_for_which_resources_it_decides(tmp_path: Path) -> None:
    role = AccessRole(policy=CallablePolicy(lambda facts: Allow()), resources=[])
    with pytest.raises(ConfigurationError, match="Name the resources"):
        await build_person_app(f"sqlite:///{tmp_path}/x.db", PS, access=role)
