"""Interaction codes: alphabet, length, hyphens, case and aliases (#interaction-code-format)."""

from __future__ import annotations

import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aauthlib.errors import InvalidCode
from aauthlib.messages.codes import CODE_SYMBOLS, code_digest, normalize_code, random_code

CODES = st.text(alphabet=CODE_SYMBOLS, min_size=8, max_size=16)


@pytest.mark.spec("#interaction-code-format")
def test_the_alphabet_is_crockford_base32() -> None:
    assert CODE_SYMBOLS == "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    assert len(set(CODE_SYMBOLS)) == 32


@pytest.mark.spec("#interaction-code-format")
def test_a_code_has_forty_bits_and_is_grouped_for_reading() -> None:
    bounds: list[int] = []

    def below(bound: int) -> int:
        bounds.append(bound)
        return len(bounds) - 1

    assert random_code(below) == "0123-4567"
    assert bounds == [32] * 8
    assert random_code(lambda bound: bound - 1, length=12) == "ZZZZ-ZZZZ-ZZZZ"
    with pytest.raises(ValueError, match="40 bits"):
        random_code(secrets.randbelow, length=7)


@pytest.mark.spec("#interaction-code-format")
def test_codes_differ_and_need_no_escaping_in_a_url() -> None:
    codes = {random_code(secrets.randbelow) for _ in range(200)}
    assert len(codes) == 200
    assert all(set(code) <= set(CODE_SYMBOLS + "-") for code in codes)


@pytest.mark.spec("#interaction-code-format")
@given(CODES, st.data())
def test_hyphens_spaces_case_and_aliases_do_not_matter(code: str, data: st.DataObject) -> None:
    aliases = {"1": "1IiLl", "0": "0Oo"}
    typed = ""
    for symbol in code:
        typed += data.draw(st.sampled_from(aliases.get(symbol, symbol + symbol.lower())))
        typed += data.draw(st.sampled_from(["", "", "", "-", " ", "--"]))
    if len(typed) > 64:
        return
    assert normalize_code(typed) == normalize_code(code) == code
    assert code_digest(typed) == code_digest(code)


@pytest.mark.spec("#interaction-code-format")
@given(CODES, CODES)
def test_different_codes_have_different_digests(one: str, other: str) -> None:
    assert (code_digest(one) == code_digest(other)) is (one == other)
    assert one not in code_digest(one)


@pytest.mark.spec("#interaction-code-format", "#untrusted-input")
@pytest.mark.parametrize(
    "typed",
    [
        "",
        "A1B2",
        "A1B2-C3D",
        "A1B2-C3DU",
        "A1B2_C3D4",
        "A1B2-C3D4!",
        "--------",
        "A" * 65,
        "ÄÄÄÄÄÄÄÄ",
        "ßßßß",
        "ıııııııı",
        "A1B2\nC3D4",
    ],
)
def test_what_is_no_code_is_not_recognised(typed: str) -> None:
    with pytest.raises(InvalidCode):
        normalize_code(typed)


@pytest.mark.spec("#untrusted-input")
@given(st.text(max_size=70))
def test_no_text_makes_reading_a_code_fail_otherwise(typed: str) -> None:
    try:
        code = normalize_code(typed)
    except InvalidCode:
        return
    assert set(code) <= set(CODE_SYMBOLS)
    assert normalize_code(code) == code
