"""Revocation as a weapon at a resource: other servers' tokens, and more revocations than it can keep."""

from __future__ import annotations

import pytest

from aauthlib.http import Response
from aauthlib.httpsig import JWKSURI
from aauthlib.keys import SigningKey
from aauthlib.resource.ratelimit import Limit
from aauthlib.tokens import ACCESS_DWK, PERSON_DWK

from .world import CALENDAR, EVIL_PS, EVIL_RESOURCE, City

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def revoke(city: City, jti: str, *, issuer: str = EVIL_PS, dwk: str = PERSON_DWK) -> Response:
    key: SigningKey = city.evil
    body = {"jti": jti, "exp": int(city.clock()) + 600}
    url = f"{CALENDAR}/aauth/revoke"
    return await city.send(city.signed("POST", url, key, JWKSURI(issuer, dwk, key.kid), body=body))


@pytest.mark.spec("#who-revokes-what", "#revocation-response")
@pytest.mark.parametrize("issuer", [EVIL_PS, EVIL_RESOURCE])
async def test_an_access_server_that_is_not_the_resources_own_revokes_nothing(city: City, issuer: str) -> None:
    answer = await revoke(city, "any", issuer=issuer, dwk=ACCESS_DWK)
    assert answer.status in (401, 403), "unsupported_iss, or no such access server"
    assert answer.status == 401 or answer.json()["error"] == "unsupported_iss"


@pytest.mark.spec("#revocation-response")
async def test_a_flooding_server_is_bounded_in_entries_and_may_repeat_itself(
    city: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aauthlib.resource.revocations._MOST_PER_SERVER", 2)
    for jti in ("one", "two"):
        assert (await revoke(city, jti)).status == 200
    refused = await revoke(city, "three")
    assert (refused.status, refused.json()["error"]) == (429, "rate_limited")
    assert int(refused.headers.get("retry-after") or 0) > 0
    assert (await revoke(city, "one")).status == 200


@pytest.mark.spec("#revocation-response")
async def test_a_flooding_server_is_bounded_in_rate(city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aauthlib.resource.revocations._LIMIT", Limit(3, 60.0))
    answers = [await revoke(city, "one") for _ in range(10)]
    refused = answers[-1]
    assert (refused.status, refused.json()["error"]) == (429, "rate_limited")
    assert int(refused.headers.get("retry-after") or 0) > 0
