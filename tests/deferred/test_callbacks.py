"""Which callbacks are permitted, and what they carry (#user-interaction, #interaction-callback-errors)."""

from __future__ import annotations

import pytest

from aauthlib.deferred.callbacks import CALLBACK_ERRORS, permitted_callback, with_parameters
from aauthlib.deferred.machine import TERMINAL, State
from aauthlib.messages.metadata import AgentProviderMetadata

AP = "https://ap.example"


def provider(**members: object) -> AgentProviderMetadata:
    return AgentProviderMetadata(issuer=AP, **members)  # type: ignore[arg-type]


@pytest.mark.spec("#user-interaction")
def test_without_metadata_or_without_an_endpoint_no_callback_is_permitted() -> None:
    assert permitted_callback(AP + "/callback", None) is None
    assert permitted_callback(AP + "/callback", provider()) is None


@pytest.mark.spec("#user-interaction")
@pytest.mark.parametrize(
    ("endpoint", "callback", "permitted"),
    [
        (AP, AP, True),
        (AP, AP + "/anything", True),
        (AP, AP + "?x=1", True),
        (AP, AP + ".evil.example", False),
        (AP, AP + "@evil.example/", False),
        (AP, AP + ":444/", False),
        (AP + "/", AP + "/anything", True),
        (AP + "/cb", AP + "/cb?x=1", True),
        (AP + "/cb", AP + "/cb/deeper", True),
        (AP + "/cb", AP + "/cbx", False),
        (AP + "/cb", AP + "/cb/./x", False),
        (AP + "/cb", AP + "/cb/..", False),
        (AP + "/cb", AP + "/cb/%2e%2E/x", False),
        (AP + "/cb", AP + "/CB", False),
        (AP + "/cb", AP + "/cb#x", False),
        (AP + "/cb", AP + "/cb\r\nx: y", False),
        (AP + "/cb", AP + "/cb/..x", True),
    ],
)
def test_a_callback_stays_below_the_endpoint(endpoint: str, callback: str, permitted: bool) -> None:
    metadata = provider(callback_endpoint=endpoint, localhost_callback_allowed=True)
    assert (permitted_callback(callback, metadata) == callback) is permitted


@pytest.mark.spec("#endpoint-and-other-urls")
@pytest.mark.parametrize(
    ("callback", "permitted"),
    [
        ("http://localhost", True),
        ("http://localhost:1/x?y=1", True),
        ("http://127.0.0.1:65535/", True),
        ("http://localhost.evil.example/", False),
        ("http://localhost:80@evil.example/", False),
        ("http://127.0.0.2/", False),
        ("http://[::1]/", False),
        ("https://localhost/", False),
    ],
)
def test_loopback_needs_the_providers_word(callback: str, permitted: bool) -> None:
    allowing = provider(localhost_callback_allowed=True)
    assert (permitted_callback(callback, allowing) == callback) is permitted
    assert permitted_callback(callback, provider(callback_endpoint=AP)) is None


@pytest.mark.spec("#interaction-callback-errors")
def test_every_end_but_a_yes_and_a_withdrawal_has_an_error() -> None:
    assert set(CALLBACK_ERRORS) == TERMINAL - {State.GRANTED, State.DELIVERED, State.CANCELLED}
    assert set(CALLBACK_ERRORS.values()) <= {
        "access_denied",
        "user_abandoned",
        "server_error",
        "temporarily_unavailable",
        "interaction_expired",
    }


def test_parameters_are_added_encoded() -> None:
    assert with_parameters("https://a.example/x", error="a b&c") == "https://a.example/x?error=a+b%26c"
    assert with_parameters("https://a.example/x?y=1", error="e") == "https://a.example/x?y=1&error=e"
