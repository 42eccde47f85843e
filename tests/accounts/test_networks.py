"""What of a client's address is limited, and what is shown."""

from __future__ import annotations

import pytest

from aauthlib.accounts.networks import network_of

pytestmark = pytest.mark.spec("#ps-approval-endpoint-auth")


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("127.0.0.1", None),
        ("::ffff:127.0.0.1", None),
        ("::1", None),
        ("testclient", None),
        (None, None),
    ],
)
def test_a_client_is_known_by_what_its_provider_gave_it(address: str | None, network: str | None) -> None:
    assert network_of(address) == network
