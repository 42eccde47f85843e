"""Settling what a policy wants paid: the test settlement and x402's shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from aauthlib.access import Allow, NeedPayment, X402Settlement
from aauthlib.base64url import b64url_encode
from aauthlib.errors import ConfigurationError

from .parties import World, location

TERMS = NeedPayment("500", "USDC", "a year of calendar")


def payment(nonce: str = "1", **changes: Any) -> str:
    document = {"x402Version": 1, "scheme": "exact", "network": "base-sepolia", "payload": {"nonce": nonce}, **changes}
    return b64url_encode(msgspec.json.encode(document))


class Facilitator:
    """Settles everything it is given, and remembers what that was."""

    def __init__(self) -> None:
        self.seen: list[tuple[Mapping[str, Any], Mapping[str, Any]]] = []
        self.good = True

    async def __call__(self, paid: Mapping[str, Any], requirements: Mapping[str, Any]) -> str | None:
        self.seen.append((paid, requirements))
        return "0xabc" if self.good else None


@pytest.fixture
def facilitator(world: World) -> Facilitator:
    made = Facilitator()
    world.server.settlement = X402Settlement(network="base-sepolia", pay_to="0x1", asset="0x2", facilitator=made)
    world.policy.decide = lambda facts: Allow() if facts.paid else TERMS
    return made


@pytest.mark.spec("#as-response")
async def test_x402_says_what_it_accepts_and_takes_the_payment_with_the_poll(
    world: World, facilitator: Facilitator
) -> None:
    asked = await world.ask()
    assert asked.status == 402
    (accepted,) = asked.json()["accepts"]
    assert asked.json()["x402Version"] == 1
    assert (accepted["scheme"], accepted["maxAmountRequired"], accepted["payTo"]) == ("exact", "500", "0x1")
    assert accepted["resource"] == location(asked)
    assert (await world.poll(asked, **{"x-payment": payment()})).status == 200
    assert facilitator.seen[0][1]["maxAmountRequired"] == "500"


async def test_the_same_payment_is_not_taken_twice(world: World, facilitator: Facilitator) -> None:
    first, second = await world.ask(), await world.ask()
    assert (await world.poll(first, **{"x-payment": payment()})).status == 200
    async with world.database.transaction() as connection:
        from aauthlib.store.access_tables import billing

        await connection.execute(billing.delete())
    again = payment(comment="another envelope around the same payload")
    assert (await world.poll(second, **{"x-payment": again})).status == 402
    assert (await world.poll(second, **{"x-payment": payment("2")})).status == 200


@pytest.mark.parametrize(
    "header", ["", "!!!", b64url_encode(b"[]"), b64url_encode(b"{"), payment(network="other"), "A" * 20_000]
)
async def test_what_is_no_payment_settles_nothing(world: World, facilitator: Facilitator, header: str) -> None:
    asked = await world.ask()
    assert (await world.poll(asked, **{"x-payment": header})).status == 402
    assert facilitator.seen == []


async def test_a_payment_the_facilitator_refuses_settles_nothing(world: World, facilitator: Facilitator) -> None:
    facilitator.good = False
    asked = await world.ask()
    assert (await world.poll(asked, **{"x-payment": payment()})).status == 402


async def test_a_server_that_takes_no_payments_denies_instead(world: World, facilitator: Facilitator) -> None:
    from aauthlib.errors import Denied

    world.server.settlement = None
    with pytest.raises(Denied):
        await world.ask()


def test_an_amount_is_a_whole_number() -> None:
    for amount in ("1.5", "-1", "", "1e9", "٣"):
        with pytest.raises(ConfigurationError):
            NeedPayment(amount, "c")
