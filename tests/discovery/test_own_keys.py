"""A person server verifies its own tokens without the network, and nobody else's."""

from __future__ import annotations

from typing import Any

import pytest

from aauthlib.discovery.own_keys import with_own_keys
from aauthlib.effects import FindKey, Flow
from aauthlib.errors import UnknownKey
from aauthlib.keys import JWKS, PublicKey, SigningKey
from aauthlib.tokens import PERSON_DWK

PS = "https://ps.example"
KEY = SigningKey.generate()


def find(*effects: FindKey) -> Flow[list[Any]]:
    found: list[Any] = []
    for effect in effects:
        try:
            key: PublicKey = yield effect
            found.append(key)
        except UnknownKey as error:
            found.append(error)
    return found


def drive(flow: Flow[list[Any]], answer: object) -> tuple[list[FindKey], list[Any]]:
    asked: list[FindKey] = []
    try:
        effect = next(flow)
        while True:
            assert isinstance(effect, FindKey)
            asked.append(effect)
            effect = flow.send(answer) if not isinstance(answer, Exception) else flow.throw(answer)
    except StopIteration as end:
        return asked, end.value


def test_its_own_key_is_answered_and_others_are_passed_on() -> None:
    own = FindKey(PS, "aauth-person.json", KEY.kid)
    others = [FindKey("https://other.example", "aauth-person.json", KEY.kid), FindKey(PS, "aauth-access.json", KEY.kid)]
    asked, found = drive(with_own_keys(find(own, *others), issuer=PS, dwk=PERSON_DWK, keys=JWKS.of(KEY)), "elsewhere")
    assert asked == others
    assert found == [KEY.public, "elsewhere", "elsewhere"]


@pytest.mark.spec("#jwks-discovery")
def test_a_kid_it_never_had_is_unknown() -> None:
    asked, found = drive(
        with_own_keys(find(FindKey(PS, "aauth-person.json", "no")), issuer=PS, dwk=PERSON_DWK, keys=JWKS.of(KEY)), ""
    )
    assert asked == []
    assert isinstance(found[0], UnknownKey)


def test_a_failure_outside_reaches_the_flow() -> None:
    failure = UnknownKey("not there")
    _, found = drive(
        with_own_keys(find(FindKey("https://x.example", "d", "k")), issuer=PS, dwk=PERSON_DWK, keys=JWKS.of(KEY)),
        failure,
    )
    assert found == [failure]
