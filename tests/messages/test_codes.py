from __future__ import annotations

import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aauthlib.errors import InvalidCode
from aauthlib.messages.codes import CODE_SYMBOLS, code_digest, normalize_code, random_code

pytestmark = pytest.mark.spec("#interaction-code-format")


def test_the_alphabet_is_crockfords() -> None:
    assert CODE_SYMBOLS == "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    assert len(CODE_SYMBOLS) == 32


def test_a_code_draws_five_bits_for_each_symbol() -> None:
    asked: list[int] = []

    def first(below: int) -> int:
        asked.append(below)
        return below - 1

    assert random_code(first) == "ZZZZ-ZZZZ"
    assert asked == [32] * 8


def test_a_longer_code_is_grouped_in_fours() -> None:
    assert random_code(lambda below: 0, length=10) == "0000-0000-00"


@pytest.mark.parametrize("length", [0, 1, 7])
def test_a_code_of_less_than_forty_bits_is_not_made(length: int) -> None:
    with pytest.raises(ValueError, match="40 bits"):
        random_code(lambda below: 0, length=length)


@given(st.integers(min_value=8, max_value=30))
def test_every_code_made_can_be_typed_back(length: int) -> None:
    code = random_code(secrets.randbelow, length=length)

    assert normalize_code(code) == code.replace("-", "")
    assert code_digest(code.lower()) == code_digest(code)


@pytest.mark.parametrize(
    "typed", ["10AB-CDEF", "1OAB-CDEF", "i0ab-cdef", "l0abcdef", "L0 AB CD EF", " 10-AB-CD-EF ", "-1-0-A-B-C-D-E-F-"]
)
def test_hyphens_spaces_case_and_look_alikes_do_not_matter(typed: str) -> None:
    assert normalize_code(typed) == "10ABCDEF"


@pytest.mark.parametrize(
    "typed",
    [
        "", "-", "1", "10ABCDE", "10AB-CDEU", "10AB_CDEF", "10ABCDE!", "10ABCDEß", "ſ0ABCDEF", "ı0ABCDEF", "１０ABCDEF",
        "10ABCDEF\0", "10AB\nCDEF", "A" * 65,
    ],
)  # fmt: skip
def test_what_is_no_code_is_refused_without_repeating_it(typed: str) -> None:
    with pytest.raises(InvalidCode) as caught:
        normalize_code(typed)
    assert len(typed) < 2 or typed not in str(caught.value)


@given(st.text(max_size=80))
def test_whatever_is_typed_is_a_code_or_refused(typed: str) -> None:
    try:
        code = normalize_code(typed)
    except InvalidCode:
        return
    assert set(code) <= set(CODE_SYMBOLS)


def test_a_digest_shows_nothing_of_the_code() -> None:
    digest = code_digest("10AB-CDEF")

    assert len(digest) == 64
    assert "10ABCDEF" not in digest
    assert digest != code_digest("10AB-CDEG")
