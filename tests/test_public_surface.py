"""What the README uses is there, and importing the package costs nothing that is not used."""

from __future__ import annotations

import aauthlib


def test_everything_exported_exists_and_is_documented():
    for name in aauthlib.__all__:
        assert getattr(aauthlib, name).__doc__, name


def test_what_is_not_exported_is_an_attribute_error():
    try:
        aauthlib.nothing_like_it  # noqa: B018
    except AttributeError as error:
        assert "nothing_like_it" in str(error)
    else:
        raise AssertionError("an unknown attribute must not be found")
