"""Values under a key: they open where they belong and nowhere else, and with the right key only."""

from __future__ import annotations

import pytest

from aauthlib.base64url import b64url_decode
from aauthlib.errors import ConfigurationError
from aauthlib.store.sealing import ENVIRONMENT_VARIABLE, PREFIX, Sealer, new_key

PLACE = ("person_profiles", "claims")


def sealer(*keys: str) -> Sealer:
    return Sealer.parse(" ".join(keys))


def test_what_is_sealed_is_not_there_and_opens_again() -> None:
    one = sealer(new_key())
    sealed = one.seal("Ana Example", *PLACE)
    assert "Ana" not in sealed
    assert one.open(sealed, *PLACE) == "Ana Example"
    assert one.open_bytes(one.seal_bytes(b"\x00Ana", *PLACE), *PLACE) == b"\x00Ana"
    assert b"Ana" not in one.seal_bytes(b"\x00Ana", *PLACE)


def test_the_same_value_never_looks_the_same() -> None:
    one = sealer(new_key())
    assert one.seal("yes", *PLACE) != one.seal("yes", *PLACE)


@pytest.mark.parametrize("place", [("person_profiles", "other"), ("other", "claims"), (*PLACE, "row"), ()], ids=str)
def test_a_value_opens_only_where_it_belongs(place: tuple[str, ...]) -> None:
    one = sealer(new_key())
    for moved in (one.seal("Ana", *PLACE), one.seal_bytes(b"Ana", *PLACE)):
        with pytest.raises(ConfigurationError, match="changed, cut off or moved"):
            one.open(moved, *place) if isinstance(moved, str) else one.open_bytes(moved, *place)


def test_a_value_that_was_changed_does_not_open() -> None:
    one = sealer(new_key())
    sealed = one.seal("Ana Example", *PLACE)
    for changed in (sealed[:-4], sealed[:-4] + ("AAAA" if not sealed.endswith("AAAA") else "BBBB"), sealed + "!", ""):
        if changed:
            with pytest.raises(ConfigurationError, match=r"person_profiles\.claims"):
                one.open(changed, *PLACE)


def test_every_key_opens_and_the_first_one_seals() -> None:
    old, new = new_key(), new_key()
    before = sealer(old).seal("Ana", *PLACE)
    both = sealer(new, old)
    assert both.open(before, *PLACE) == "Ana"
    assert not both.is_current(before)
    after = both.seal("Ana", *PLACE)
    assert both.is_current(after) and both.is_current(both.seal_bytes(b"Ana", *PLACE))
    assert sealer(new).open(after, *PLACE) == "Ana"


@pytest.mark.parametrize(
    ("keys", "said"), [((), "is not set"), ((new_key(),), "does not have it")], ids=["none", "other"]
)
def test_without_its_key_a_value_is_an_error_that_says_what_to_do(keys: tuple[str, ...], said: str) -> None:
    sealed = sealer(new_key()).seal("Ana", *PLACE)
    with pytest.raises(ConfigurationError, match=f"{ENVIRONMENT_VARIABLE} {said}. Add the key"):
        sealer(*keys).open(sealed, *PLACE)


@pytest.mark.parametrize("text", ["", "Ana", PREFIX, PREFIX + "1:abc:def", PREFIX + "0:x"])
def test_without_keys_every_text_is_what_it_was(text: str) -> None:
    """Somebody may be called what a sealed value looks like."""
    none, one = Sealer(), sealer(new_key())
    stored = none.seal(text, *PLACE)
    assert none.open(stored, *PLACE) == one.open(stored, *PLACE) == text
    stored_bytes = none.seal_bytes(text.encode(), *PLACE)
    assert none.open_bytes(stored_bytes, *PLACE) == one.open_bytes(stored_bytes, *PLACE) == text.encode()
    assert one.open(one.seal(text, *PLACE), *PLACE) == text


@pytest.mark.parametrize(
    "bad", ["short", "x" * 44, new_key() + "=", "schlüssel"], ids=["short", "long", "padded", "no-base64"]
)
def test_what_is_no_key_is_refused_without_being_quoted(bad: str) -> None:
    with pytest.raises(ConfigurationError, match=r"Key 2 in .*`aauth db new-key` makes one") as caught:
        Sealer.from_environment({ENVIRONMENT_VARIABLE: f"{new_key()}, {bad}"})
    assert bad not in str(caught.value)


def test_keys_stand_in_the_environment_apart_by_spaces_or_commas() -> None:
    first, second = new_key(), new_key()
    sealed = Sealer([b64url_decode(second)]).seal("Ana", *PLACE)
    for text in (f"{first} {second}", f"{first},{second}\n", f"{second}"):
        assert Sealer.from_environment({ENVIRONMENT_VARIABLE: text}).open(sealed, *PLACE) == "Ana"
    assert not Sealer.from_environment({}).active
