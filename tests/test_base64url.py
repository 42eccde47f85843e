"""One value has one spelling."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aauthlib.base64url import b64url_decode, b64url_encode


@pytest.mark.spec("#common-claims")
@given(st.binary(max_size=100))
def test_what_is_encoded_decodes_to_itself(data: bytes) -> None:
    text = b64url_encode(data)
    assert "=" not in text
    assert b64url_decode(text) == data


@pytest.mark.spec("#common-claims")
@pytest.mark.parametrize("text", ["AA==", "AA=", "A", "AB", "AAB", "+/A", "A A", "AA\n", "AAé", "A_-=", "AAAA="])
def test_padding_foreign_characters_and_stray_bits_are_refused(text: str) -> None:
    with pytest.raises(ValueError):
        b64url_decode(text)


@given(st.text(max_size=20))
def test_whatever_decodes_encodes_to_the_same_text(text: str) -> None:
    try:
        data = b64url_decode(text)
    except ValueError:
        return
    assert b64url_encode(data) == text
