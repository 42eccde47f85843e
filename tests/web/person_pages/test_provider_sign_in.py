"""Sign-in at an organisation's OpenID Connect provider, and what attackers try with it."""

from __future__ import annotations

import html
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from aauthlib.base64url import b64url_decode, b64url_encode
from aauthlib.person.openid_sign_in import SIGN_IN_LIFETIME_S
from aauthlib.person.organisation_settings import OrganisationSettings, ProviderSettings
from tests.person.openid_provider import (
    CLIENT_ID,
    CLIENT_SECRET,
    Network,
    OpenIDProvider,
    signed_with_public_key,
    unsigned,
)

from .conftest import PASSWORD, Browser, Clock, MakeSite, Site
from .parties import page_url

pytestmark = pytest.mark.spec("#ps-approval-endpoint-auth")

CORP, LAB = "https://login.corp.example", "https://login.lab.example"


def _organisation(issuer: str, domain: str, *, join: bool = True) -> OrganisationSettings:
    return OrganisationSettings(
        name=domain.partition(".")[0].title(),
        domains=(domain,),
        sign_in=ProviderSettings(issuer=issuer, client_id=CLIENT_ID, client_secret_env="OIDC_SECRET", join=join),
    )


@dataclass
class Town:
    """A person server whose two organisations have a provider each."""

    site: Site
    corp: OpenIDProvider
    lab: OpenIDProvider
    network: Network

    def browser(self) -> Browser:
        return self.site.browser()

    async def leave(self, browser: Browser, tenant: str = "corp", page: str = "/sign-in") -> dict[str, str]:
        """Press the organisation's button. Returns what the provider is asked."""
        await browser.get(page)
        response = await browser.submit(f"/sign-in/provider/{tenant}")
        assert response.status_code == 200, browser.text
        found = re.search(r'http-equiv="refresh" content="0; url=([^"]*)"', browser.page)
        assert found is not None
        url = urlsplit(html.unescape(found[1]))
        provider = {"corp": self.corp, "lab": self.lab}[tenant]
        assert f"{url.scheme}://{url.netloc}{url.path}" == f"{provider.issuer}/authorize"
        asked = dict(parse_qsl(url.query))
        if asked.get("prompt") == "login":
            provider.signed_in_at = self.site.clock()
        return asked

    async def sign_in(self, browser: Browser, tenant: str = "corp", page: str = "/sign-in", **changes: str) -> Any:
        asked = await self.leave(browser, tenant, page)
        provider = {"corp": self.corp, "lab": self.lab}[tenant]
        return await browser.get(provider.answer_to(asked, **changes))

    async def accounts(self) -> int:
        count: int = await self.site.app.accounts._store.count_accounts()
        return count


@pytest.fixture
async def town(make_site: MakeSite, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Town]:
    monkeypatch.setenv("OIDC_SECRET", CLIENT_SECRET)
    clock = Clock()
    corp = OpenIDProvider(CORP, clock, _person("u-1", "ana@corp.example"))
    lab = OpenIDProvider(LAB, clock, _person("u-1", "lea@lab.example"))
    network = Network(corp, lab)
    settings = {"corp": _organisation(CORP, "corp.example"), "lab": _organisation(LAB, "lab.example", join=False)}
    site = await make_site(organisations=settings, sender=network)
    corp.clock = lab.clock = site.clock
    await site.app.accounts.create("owner", "The Owner", password=PASSWORD)
    yield Town(site, corp, lab, network)
    await network.aclose()


def _person(sub: str, email: str, *, verified: bool = True) -> dict[str, Any]:
    name = email.partition("@")[0]
    return {
        "sub": sub,
        "email": email,
        "email_verified": verified,
        "name": name.title(),
        "preferred_username": name,
    }


def _is_in(response: Any) -> bool:
    return response.status_code == 303 and response.headers["location"] == "/"


# ---------------------------------------------------------------------- the straight way


async def test_somebody_the_provider_vouches_for_becomes_a_member(town: Town) -> None:
    browser = town.browser()
    assert _is_in(await town.sign_in(browser))
    await browser.get("/")
    assert "Hello, Ana" in browser.text
    account = await town.site.app.accounts._store.account_named("ana")
    member = await town.site.app.organisations.membership(account.person_id)
    assert (member.tenant, member.role) == ("corp", "member")


async def test_the_code_flow_has_state_nonce_and_pkce_that_differ_each_time(town: Town) -> None:
    asked = [await town.leave(town.browser()) for _ in range(2)]
    for each in asked:
        assert each["response_type"] == "code"
        assert each["code_challenge_method"] == "S256"
        assert each["scope"].split()[0] == "openid"
        assert each["redirect_uri"] == "https://ps.example/sign-in/provider/corp/callback"
        assert len({each["state"], each["nonce"], each["code_challenge"]}) == 3
    for name in ("state", "nonce", "code_challenge"):
        assert asked[0][name] != asked[1][name]


async def test_coming_back_finds_the_same_account(town: Town) -> None:
    await town.sign_in(town.browser())
    before = await town.accounts()
    town.corp.person = _person("u-1", "ana-married@corp.example") | {"preferred_username": "other"}
    browser = town.browser()
    assert _is_in(await town.sign_in(browser))
    await browser.get("/")
    assert "Hello, Ana" in browser.text
    assert await town.accounts() == before


async def test_sign_in_on_the_way_to_a_request_ends_at_the_request(town: Town) -> None:
    answer = await town.site.ask_person_token(domain_hint="corp.example", login_hint="ana@corp.example")
    browser = town.browser()
    response = await town.sign_in(browser, page=page_url(answer))
    assert response.headers["location"].startswith("/requests/")
    await browser.get(response.headers["location"])
    assert "act as you" in browser.text
    assert "code=" not in response.headers["location"]


@pytest.mark.spec("#auth-token-request")
@pytest.mark.parametrize(
    "hints", [{"tenant": "lab"}, {"domain_hint": "LAB.example"}, {"login_hint": "lea@lab.example"}]
)
async def test_hints_choose_the_organisation_to_sign_in_with(town: Town, hints: dict[str, str]) -> None:
    browser = town.browser()
    await browser.get(page_url(await town.site.ask_person_token(**hints)))
    assert "Sign in with Lab" in browser.text
    assert "Sign in with Corp" not in browser.text


@pytest.mark.spec("#auth-token-request", "#untrusted-input")
async def test_a_login_hint_fills_in_the_form_and_is_escaped(town: Town) -> None:
    browser = town.browser()
    await browser.get(page_url(await town.site.ask_person_token(login_hint='"><script>alert(1)</script>')))
    assert "<script>alert" not in browser.page
    await browser.get(page_url(await town.site.ask_person_token(resource="https://mail.example", login_hint="ana")))
    assert browser.form("/sign-in")["username"] == "ana"
    asked = await town.leave(browser, page=page_url(await town.site.ask_person_token(login_hint="ana@corp.example")))
    assert asked["login_hint"] == "ana@corp.example"


# ---------------------------------------------------------------------- whose account


async def test_an_address_alone_opens_no_account(town: Town) -> None:
    """A local account with the same address is another account: anybody can type an address."""
    victim = await town.site.app.accounts.create("ana", "Ana", password=PASSWORD, email="ana@corp.example")
    browser = town.browser()
    await town.sign_in(browser)
    await browser.get("/security")
    entered = await town.site.app.accounts._store.account_named("ana-2")
    assert entered is not None
    assert entered.person_id != victim.person_id
    assert await town.site.app.organisations.store.identities_of(victim.person_id) == []


async def test_the_same_sub_at_another_provider_is_somebody_else(town: Town) -> None:
    await town.sign_in(town.browser())
    town.lab.person = town.corp.person
    browser = town.browser()
    response = await town.sign_in(browser, "lab")
    assert response.status_code == 403
    assert "you have no account here" in browser.text


@pytest.mark.parametrize(
    "person",
    [
        _person("u-2", "eve@corp.example", verified=False),
        _person("u-2", "eve@lab.example"),
        _person("u-2", "eve@corp.example.evil.example"),
        _person("u-2", "eve@sub.corp.example"),
        {"sub": "u-2", "email": "eve@corp.example", "email_verified": "true"},
        {"sub": "u-2"},
    ],
)
async def test_who_has_no_verified_address_in_the_domain_does_not_join(town: Town, person: dict[str, Any]) -> None:
    town.corp.person, before = person, await town.accounts()
    browser = town.browser()
    assert (await town.sign_in(browser)).status_code == 403
    assert "Ask one of its administrators" in browser.text
    assert await town.accounts() == before


async def test_without_join_an_invitation_is_needed_and_enough(town: Town) -> None:
    browser = town.browser()
    assert (await town.sign_in(browser, "lab")).status_code == 403
    secret = town.site.app.invitations["lab"]
    assert _is_in(await town.sign_in(browser, "lab", page=f"/join/{secret}"))
    assert (await browser.get("/organisation")).status_code == 200
    assert (await town.browser().get(f"/join/{secret}")).status_code == 404


async def test_an_invitation_of_one_organisation_is_none_at_anothers_provider(town: Town) -> None:
    town.corp.person = _person("u-9", "eve@elsewhere.example")
    browser = town.browser()
    await browser.get("/sign-in")
    fields = browser.form("/sign-in/provider/corp") | {"invitation": town.site.app.invitations["lab"]}
    await browser.post("/sign-in/provider/corp", fields)
    url = html.unescape(re.search(r"url=([^\"]*)", browser.page)[1])  # type: ignore[index]
    response = await browser.get(town.corp.answer_to(dict(parse_qsl(urlsplit(url).query))))
    assert response.status_code == 403
    assert "another organisation" in browser.text


async def test_a_member_links_the_identity_and_signs_in_with_it(town: Town) -> None:
    secret = town.site.app.invitations["corp"]
    bo = town.browser()
    await bo.get(f"/join/{secret}")
    await bo.submit(f"/join/{secret}", display_name="Bo", username="bo", password=PASSWORD, email="")
    town.corp.person = _person("u-7", "bo@private.example", verified=False)
    await bo.get("/security")
    await bo.submit("/security/provider/link")
    url = html.unescape(re.search(r"url=([^\"]*)", bo.page)[1])  # type: ignore[index]
    asked = dict(parse_qsl(urlsplit(url).query))
    assert (asked["prompt"], asked["max_age"]) == ("login", "0")
    town.corp.signed_in_at = town.site.clock()
    response = await bo.get(town.corp.answer_to(asked))
    assert response.headers["location"] == "/security?saved=linked"
    again = town.browser()
    assert _is_in(await town.sign_in(again))
    await again.get("/")
    assert "Hello, Bo" in again.text


async def test_the_last_way_in_is_not_unlinked(town: Town) -> None:
    browser = town.browser()
    town.corp.signed_in_at = town.site.clock()
    await town.sign_in(browser)
    await browser.get("/security")
    assert (await browser.submit("/security/provider/unlink")).status_code == 409
    assert "Your only way to sign in" in browser.text
    await browser.get("/security")
    await browser.submit("/security/password", new="battery horse staple")
    await browser.get("/security")
    assert (await browser.submit("/security/provider/unlink")).headers["location"] == "/security?saved=unlinked"


async def test_who_was_removed_is_not_let_in_by_the_old_link(town: Town) -> None:
    secret = town.site.app.invitations["lab"]
    boss = town.browser()
    await boss.get(f"/join/{secret}")
    await boss.submit(f"/join/{secret}", display_name="Boss", username="boss", password=PASSWORD, email="")
    await boss.get("/organisation")
    await boss.submit("/organisation/invite")
    link = boss.page.partition("/join/")[2].partition('"')[0]
    lea = town.browser()
    assert _is_in(await town.sign_in(lea, "lab", page=f"/join/{link}"))
    account = await town.site.app.accounts._store.account_named("lea")
    await boss.get("/organisation")
    csrf = boss.form("/sign-out")["csrf"]
    await boss.post("/organisation/remove", {"csrf": csrf, "person": account.person_id})
    assert (await lea.get("/")).headers["location"] == "/sign-in"
    assert (await town.sign_in(town.browser(), "lab")).status_code == 403


# ---------------------------------------------------------------------- the verified address


@pytest.mark.spec("#scopes")
@pytest.mark.parametrize(("verified", "domain"), [(False, "corp.example"), (True, "x.example")])
async def test_an_address_is_verified_only_where_the_organisation_vouches(
    town: Town, verified: bool, domain: str
) -> None:
    await town.sign_in(town.browser())
    town.corp.person = _person("u-1", f"new@{domain}", verified=verified)
    await town.sign_in(town.browser())
    account = await town.site.app.accounts._store.account_named("ana")
    profile = await town.site.app.server.profile(account.person_id)
    assert (profile["email"], profile["email_verified"]) == ("ana@corp.example", True)
    await town.site.app.server.set_profile(account.person_id, {"name": "Ana", "email": f"typed@{domain}"})
    assert (await town.site.app.server.profile(account.person_id))["email_verified"] is False


# ---------------------------------------------------------------------- step-up


async def test_a_session_the_provider_remembered_is_no_recent_sign_in(town: Town) -> None:
    town.corp.signed_in_at = town.site.clock() - 86_400
    browser = town.browser()
    await town.sign_in(browser)
    await browser.get("/security")
    assert "/security/recovery-codes" not in browser.page
    asked = await town.leave(browser, page="/sign-in?next=/security")
    assert (asked["prompt"], asked["max_age"]) == ("login", "0")
    response = await browser.get(town.corp.answer_to(asked))
    assert response.headers["location"] == "/security"
    await browser.get("/security")
    assert "/security/recovery-codes" in browser.page


@pytest.mark.parametrize("age", [None, 3600])
async def test_a_provider_that_does_not_ask_anew_is_no_step_up(town: Town, age: int | None) -> None:
    browser = town.browser()
    await town.sign_in(browser)
    asked = await town.leave(browser, page="/sign-in?next=/security")
    town.corp.signed_in_at = None if age is None else town.site.clock() - age
    assert (await browser.get(town.corp.answer_to(asked))).status_code == 403
    assert "did not ask you to sign in anew" in browser.text


# ---------------------------------------------------------------------- attacks


async def test_an_answer_made_for_another_browser_signs_nobody_in(town: Town) -> None:
    """Login CSRF: the attacker's own answer, opened in the victim's browser."""
    attacker, victim = town.browser(), town.browser()
    answer = town.corp.answer_to(await town.leave(attacker))
    await victim.get("/sign-in")
    assert (await victim.get(answer)).status_code == 403
    assert (await town.browser().get(answer)).status_code == 403
    assert (await victim.get("/")).headers["location"] == "/sign-in"
    assert town.corp.used == []


async def test_the_state_of_one_sign_in_does_not_fit_another(town: Town) -> None:
    """State swap: the victim's code with the attacker's state, and the other way round."""
    attacker, victim = town.browser(), town.browser()
    theirs, mine = await town.leave(victim), await town.leave(attacker)
    stolen = dict(parse_qsl(urlsplit(town.corp.answer_to(theirs)).query))
    answer = f"{mine['redirect_uri']}?" + urlencode(stolen | {"state": mine["state"]})
    # The code is bound to the other sign-in by PKCE.
    assert (await attacker.get(answer)).status_code == 403
    assert town.corp.used == []
    swapped = f"{mine['redirect_uri']}?" + urlencode(stolen | {"state": theirs["state"]})
    assert (await attacker.get(swapped)).status_code == 403


async def test_an_answer_is_good_once(town: Town) -> None:
    browser = town.browser()
    asked = await town.leave(browser)
    assert _is_in(await browser.get(town.corp.answer_to(asked)))
    assert (await browser.get(town.corp.answer_to(asked))).status_code == 403
    assert len(town.corp.used) == 1


async def test_an_answer_that_took_too_long_is_refused(town: Town) -> None:
    browser = town.browser()
    asked = await town.leave(browser)
    town.site.clock.now += SIGN_IN_LIFETIME_S
    assert (await browser.get(town.corp.answer_to(asked))).status_code == 403
    assert "took too long" in browser.text


@pytest.mark.parametrize("iss", [LAB, "https://evil.example", CORP + "/", ""])
async def test_an_answer_that_names_another_issuer_is_refused(town: Town, iss: str) -> None:
    """Mix-up: the answer says which provider made it (RFC 9207)."""
    assert (await town.sign_in(town.browser(), iss=iss)).status_code == 403
    assert town.corp.used == []


async def test_an_answer_without_its_issuer_is_refused_where_the_provider_says_it_sends_it(town: Town) -> None:
    browser = town.browser()
    asked = await town.leave(browser)
    answer = re.sub(r"&iss=[^&]*", "", town.corp.answer_to(asked))
    assert (await browser.get(answer)).status_code == 403
    assert town.corp.used == []


async def test_an_answer_for_one_provider_is_none_at_anothers_callback(town: Town) -> None:
    """Mix-up without the parameter: each provider has a callback of its own, and `state` names the provider."""
    town.lab.metadata = {"authorization_response_iss_parameter_supported": False}
    browser = town.browser()
    answer = re.sub(r"&iss=[^&]*", "", town.corp.answer_to(await town.leave(browser)))
    assert (await browser.get(answer.replace("/provider/corp/", "/provider/lab/"))).status_code == 403
    assert (town.lab.used, town.corp.used) == ([], [])


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"iss": LAB},
        {"iss": None},
        {"iss": CORP + "/"},
        {"aud": "another-client"},
        {"aud": None},
        {"aud": [CLIENT_ID, "another"], "azp": "another"},
        {"exp": 1_700_000_000},
        {"exp": None},
        {"iat": 1_900_000_000},
        {"iat": None},
        {"nbf": 1_900_000_000},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"sub": "a" * 256},
        {"sub": "é"},
    ],
)
async def test_an_id_token_with_a_wrong_claim_is_refused(town: Town, claims: dict[str, Any]) -> None:
    town.corp.claims, before = claims, await town.accounts()
    browser = town.browser()
    assert (await town.sign_in(browser)).status_code == 403
    assert "could not be verified" in browser.text
    assert await town.accounts() == before
    assert (await browser.get("/")).headers["location"] == "/sign-in"


async def test_an_id_token_of_an_earlier_sign_in_is_refused(town: Town) -> None:
    """Nonce replay: a token that was issued for another sign-in, even of the same person."""
    kept: list[str] = []

    def keep(header: dict[str, Any], claims: dict[str, Any]) -> str:
        kept.append(jwt.encode(header, claims, town.corp.key, algorithms=["ES256"]))
        return kept[0]

    town.corp.sign = keep
    assert _is_in(await town.sign_in(town.browser()))
    assert (await town.sign_in(town.browser())).status_code == 403


async def test_an_id_token_that_nobody_signed_is_refused(town: Town) -> None:
    town.corp.sign = unsigned
    assert (await town.sign_in(town.browser())).status_code == 403


async def test_an_id_token_signed_with_the_public_key_as_secret_is_refused(town: Town) -> None:
    town.corp.sign = signed_with_public_key(town.corp)
    assert (await town.sign_in(town.browser())).status_code == 403


async def test_an_id_token_signed_by_another_key_is_refused(town: Town) -> None:
    stranger = ECKey.generate_key("P-256", {"kid": "k1"})
    town.corp.sign = lambda header, claims: jwt.encode(header, claims, stranger, algorithms=["ES256"])
    assert (await town.sign_in(town.browser())).status_code == 403
    town.corp.sign = lambda header, claims: jwt.encode(
        {**header, "jwk": stranger.as_dict(private=False)}, claims, stranger, algorithms=["ES256"]
    )
    assert (await town.sign_in(town.browser())).status_code == 403


async def test_the_other_providers_key_signs_nothing_here(town: Town) -> None:
    town.corp.sign = lambda header, claims: jwt.encode(header, claims, town.lab.key, algorithms=["ES256"])
    assert (await town.sign_in(town.browser())).status_code == 403


async def test_a_new_key_of_the_provider_is_found(town: Town) -> None:
    await town.sign_in(town.browser())
    town.corp.key = ECKey.generate_key("P-256", {"kid": "k2", "use": "sig", "alg": "ES256"})
    town.corp.header = {"kid": "k2"}
    town.site.clock.now += 61
    assert _is_in(await town.sign_in(town.browser()))


async def test_a_discovery_document_of_another_issuer_is_not_believed(town: Town) -> None:
    town.corp.metadata = {"issuer": LAB}
    browser = town.browser()
    await browser.get("/sign-in")
    assert (await browser.submit("/sign-in/provider/corp")).status_code == 502
    assert "says that it is another one" in browser.text


@pytest.mark.parametrize("name", ["authorization_endpoint", "token_endpoint", "jwks_uri"])
async def test_an_endpoint_that_is_not_https_is_not_used(town: Town, name: str) -> None:
    town.corp.metadata = {name: "http://login.corp.example/x"}
    browser = town.browser()
    await browser.get("/sign-in")
    assert (await browser.submit("/sign-in/provider/corp")).status_code == 502


async def test_a_provider_that_is_down_leaves_the_other_ways(town: Town) -> None:
    town.network.down.add(CORP)
    browser = town.browser()
    await browser.get("/sign-in")
    assert (await browser.submit("/sign-in/provider/corp")).status_code == 502
    assert "cannot be reached" in browser.text
    assert (await browser.submit("/sign-in", username="owner", password=PASSWORD)).status_code == 303


async def test_declining_at_the_provider_is_no_error_of_ours(town: Town) -> None:
    browser = town.browser()
    asked = await town.leave(browser)
    answer = {"error": "access_denied", "state": asked["state"], "iss": CORP, "error_description": "<b>x</b>"}
    assert (await browser.get(f"{asked['redirect_uri']}?{urlencode(answer)}")).status_code == 403
    assert "You were not signed in at your organisation" in browser.text
    assert "<b>x</b>" not in browser.page


@pytest.mark.parametrize("query", ["", "?code=a", "?state=a&code=b", "?state=%FF&code=b", "?state=" + "A" * 76])
async def test_an_answer_nobody_asked_for_is_refused(town: Town, query: str) -> None:
    browser = town.browser()
    await browser.get("/sign-in")
    assert (await browser.get(f"/sign-in/provider/corp/callback{query}")).status_code == 403
    assert (await browser.get(f"/sign-in/provider/nobody/callback{query}")).status_code in (403, 404)


async def test_the_session_is_a_new_one_and_the_waiting_cookie_is_gone(town: Town) -> None:
    browser = town.browser()
    await browser.get("/sign-in")
    before = dict(browser.client.cookies)
    response = await town.sign_in(browser)
    assert "__Host-aauth-person" not in before
    cookies = response.headers.get_list("set-cookie")
    assert any(each.startswith("__Host-aauth-provider=") and "Max-Age=0" in each for each in cookies)
    assert all("HttpOnly" in each and "SameSite=lax" in each for each in cookies)


async def test_what_waits_in_the_cookie_leads_to_pages_of_this_server_only(town: Town) -> None:
    browser = town.browser()
    asked = await town.leave(browser)
    name = "__Host-aauth-provider"
    kept = json.loads(b64url_decode(dict(browser.client.cookies)[name]))
    kept[4] = "https://evil.example/"
    browser.client.cookies.set(name, b64url_encode(json.dumps(kept).encode()), domain="ps.example", path="/")
    assert (await browser.get(town.corp.answer_to(asked))).headers["location"] == "/"


@pytest.mark.spec("#person-token-structure")
async def test_the_tokens_of_who_joined_by_the_provider_name_the_organisation(town: Town) -> None:
    answer = await town.site.ask_person_token(tenant="corp")
    browser = town.browser()
    path = (await town.sign_in(browser, page=page_url(answer))).headers["location"]
    await browser.get(path)
    await browser.submit(path, decision="approve")
    token = (await town.site.poll(answer)).json()["person_token"]
    assert json.loads(b64url_decode(token.split(".")[1]))["tenant"] == "corp"
