"""Settling what a policy wants paid (#as-response, Payment required): the interface, a test one, and x402's shape.

Terms and settlement are outside the specification; this module knows who is asked, how much, and whether it was paid.
A payment is named by `settled`, and a name counts once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from ..base64url import b64url_decode
from ..errors import ConfigurationError
from ..http import Request
from .decisions import NeedPayment

__all__ = ["Demand", "Settlement", "TestSettlement", "X402Settlement"]

_MAX_PAYMENT_LENGTH = 16_384


@dataclass(frozen=True, slots=True)
class Demand:
    """How a `402` says what is to be paid: header fields and members of its JSON body."""

    headers: tuple[tuple[str, str], ...] = ()
    body: Mapping[str, Any] = field(default_factory=dict)


class Settlement(Protocol):
    """Demands payments and finds out whether they were made."""

    def demand(self, terms: NeedPayment, *, reference: str, url: str) -> Demand:
        """What the `402` says. `reference` names the exchange, `url` is what is polled when it is settled."""

    async def settled(self, terms: NeedPayment, *, reference: str, request: Request) -> str | None:
        """A name of the payment when it was made, for ever unique to it; `None` while it was not.

        `request` is the poll, in whose header fields some protocols carry the payment.
        """


class TestSettlement:
    """Payments that are made by saying so, for tests and demonstrations."""

    __test__ = False

    def __init__(self) -> None:
        self._paid: set[str] = set()

    def pay(self, reference: str) -> None:
        """Settle the exchange with this reference."""
        self._paid.add(reference)

    def demand(self, terms: NeedPayment, *, reference: str, url: str) -> Demand:
        header = f'Payment id="{reference}", method="test"'
        body = {"amount": terms.amount, "currency": terms.currency, "description": terms.description}
        return Demand((("www-authenticate", header),), {"payment": {"id": reference, "method": "test", **body}})

    async def settled(self, terms: NeedPayment, *, reference: str, request: Request) -> str | None:
        return f"test {reference}" if reference in self._paid else None


class X402Settlement:
    """x402, version 1: the `402` lists what is accepted, the poll after it carries `X-PAYMENT`.

    `facilitator` is called with the decoded payment and the accepted requirements; it verifies and settles, and returns
    the transaction's name, or `None` when the payment is not good.
    """

    def __init__(
        self,
        *,
        network: str,
        pay_to: str,
        asset: str,
        facilitator: Callable[[Mapping[str, Any], Mapping[str, Any]], Awaitable[str | None]],
        max_timeout_s: int = 300,
    ) -> None:
        if not (network and pay_to and asset):
            raise ConfigurationError("x402 needs a network, who is paid, and the asset.")
        self._network, self._pay_to, self._asset = network, pay_to, asset
        self._facilitator, self._max_timeout_s = facilitator, max_timeout_s

    def demand(self, terms: NeedPayment, *, reference: str, url: str) -> Demand:
        requirements = self._requirements(terms, url)
        return Demand((), {"x402Version": 1, "error": "X-PAYMENT header is required", "accepts": [requirements]})

    async def settled(self, terms: NeedPayment, *, reference: str, request: Request) -> str | None:
        header = request.headers.get("x-payment")
        if header is None or len(header) > _MAX_PAYMENT_LENGTH:
            return None
        try:
            payment = msgspec.json.decode(b64url_decode(header.replace("+", "-").replace("/", "_").rstrip("=")))
        except (ValueError, RecursionError):
            return None
        requirements = self._requirements(terms, request.url)
        offered = isinstance(payment, dict) and payment.get("network") == self._network
        if not offered or payment.get("scheme") != "exact":
            return None
        transaction = await self._facilitator(payment, requirements)
        # By its content too: whatever the facilitator calls it, the same payment is not taken twice.
        digest = hashlib.sha256(msgspec.json.encode(payment.get("payload"), order="deterministic")).hexdigest()
        return None if transaction is None else f"x402 {digest}"

    def _requirements(self, terms: NeedPayment, url: str) -> dict[str, Any]:
        return {
            "scheme": "exact",
            "network": self._network,
            "maxAmountRequired": terms.amount,
            "resource": url,
            "description": terms.description,
            "mimeType": "application/json",
            "payTo": self._pay_to,
            "maxTimeoutSeconds": self._max_timeout_s,
            "asset": self._asset,
            "extra": {"name": terms.currency},
        }
