"""An issuer on paper: documents by URL, a clock, and a driver that counts what is fetched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
import pytest

from aauthlib.discovery import Directory, TransportError
from aauthlib.effects import FindKey, Flow, Send
from aauthlib.errors import AAuthError
from aauthlib.http import Fields, Response
from aauthlib.keys import JWKS, PublicKey, SigningKey

T = TypeVar("T")

ISSUER = "https://agent.example"
DWK = "aauth-agent.json"
METADATA = f"{ISSUER}/.well-known/{DWK}"
KEYS = f"{ISSUER}/jwks.json"


class Net:
    """Answers by URL. What is not there cannot be reached."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0
        self.answers: dict[str, Response | AAuthError] = {}
        self.fetched: list[str] = []

    def serve(self, url: str, document: object, *, headers: Mapping[str, str] | None = None, status: int = 200) -> None:
        body = document if isinstance(document, bytes) else msgspec.json.encode(document)
        self.answers[url] = Response(status, Fields(headers or {}), body)

    def publish(self, *keys: SigningKey, headers: Mapping[str, str] | None = None) -> None:
        """Serve metadata and a key set as the issuer would."""
        self.serve(METADATA, {"issuer": ISSUER, "jwks_uri": KEYS})
        self.serve(KEYS, JWKS.of(*keys).to_document(), headers=headers)

    def drive(self, flow: Flow[T]) -> T:
        try:
            effect = next(flow)
            while True:
                assert isinstance(effect, Send)
                assert effect.discovery
                url = effect.request.url
                self.fetched.append(url)
                answer = self.answers.get(url, TransportError("unreachable"))
                effect = flow.throw(answer) if isinstance(answer, AAuthError) else flow.send(answer)
        except StopIteration as end:
            result: T = end.value
            return result

    def find(self, directory: Directory, kid: str, **options: Any) -> PublicKey:
        """What a driver does: what is at hand, else the flow."""
        effect = FindKey(options.pop("issuer", ISSUER), options.pop("dwk", DWK), kid, **options)
        at_hand = directory.cached(effect)
        return at_hand if isinstance(at_hand, PublicKey) else self.drive(directory.find_key(effect))

    def count(self, url: str) -> int:
        return self.fetched.count(url)


@pytest.fixture
def net() -> Net:
    return Net()


@pytest.fixture
def key() -> SigningKey:
    return SigningKey.generate(kid="one")
