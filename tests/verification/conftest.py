"""A verifier on paper: everything it may look up, a clock, and every scheme switched on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import pytest

from aauthlib.effects import Effect, FindCertificates, FindKey, FindKeyAt, Flow
from aauthlib.errors import AAuthError, SignatureError, UnknownKey
from aauthlib.http import Fields, Request
from aauthlib.httpsig import SignatureKey, SignaturePolicy, sign
from aauthlib.keys import PublicKey, SigningKey
from aauthlib.tokens import AgentToken, AuthToken, PersonToken, VerificationPolicy
from aauthlib.verification import AssertionCache, Caller, SchemeSupport, SelfIssuedPolicy, authenticate
from tests.tokens.minting import AGENT_KEY, AP, AS, ISSUER_KEY, NOW, PS, RESOURCE

T = TypeVar("T")

ALL = ("jwt", "hwk", "jkt-jwt", "jwks_uri", "jwks", "self-jwt", "x509", "cached")
KEYS_URL = "https://client.example/keys.jwks"
CHAIN_URL = "https://client.example/chain.pem"


@dataclass
class Verifier:
    """Answers what a flow asks for, and keeps what it asked."""

    now: float = NOW
    policy: SignaturePolicy = field(default_factory=lambda: SignaturePolicy(schemes=ALL))
    support: SchemeSupport = field(
        default_factory=lambda: SchemeSupport(
            assertions=AssertionCache(),
            self_issued=SelfIssuedPolicy(frozenset({"event+jwt"}), audience=RESOURCE),
        )
    )
    keys: dict[tuple[str, str], PublicKey] = field(
        default_factory=lambda: {(issuer, ISSUER_KEY.kid): ISSUER_KEY.public for issuer in (AP, PS, AS, RESOURCE)}
    )
    renewed: dict[tuple[str, str], PublicKey] = field(default_factory=dict)
    documents: list[bytes] = field(default_factory=list)
    """What stands at `CHAIN_URL`, one after the other; the last one stays."""
    asked: list[Effect] = field(default_factory=list)

    def run(self, flow: Flow[T]) -> T:
        answer: Any = None
        failure: AAuthError | None = None
        while True:
            try:
                effect = flow.throw(failure) if failure is not None else flow.send(answer)
            except StopIteration as end:
                result: T = end.value
                return result
            answer, failure = None, None
            self.asked.append(effect)
            try:
                answer = self._answer(effect)
            except AAuthError as error:
                failure = error

    def _answer(self, effect: Effect) -> object:
        match effect:
            case FindKey(issuer=place, kid=kid) | FindKeyAt(url=place, kid=kid):
                found = self.renewed if effect.changed_since_use and self.renewed else self.keys
                if (place, kid) not in found:
                    raise UnknownKey("There is no such key.")
                return found[place, kid]
            case FindCertificates(url=url):
                if url != CHAIN_URL or not self.documents:
                    raise UnknownKey("There is no such document.")
                return self.documents.pop(0) if len(self.documents) > 1 else self.documents[0]
        raise AssertionError(effect)

    def call(self, request: Request, **options: Any) -> Caller:
        flow = authenticate(
            request,
            now=self.now,
            signature=options.pop("policy", self.policy),
            tokens=options.pop("tokens", VerificationPolicy()),
            accepted=options.pop("accepted", (AgentToken, PersonToken, AuthToken)),
            support=options.pop("support", self.support),
            **options,
        )
        return self.run(flow)

    def refuses(self, request: Request, error: type[SignatureError], **options: Any) -> SignatureError:
        with pytest.raises(SignatureError) as caught:
            self.call(request, **options)
        assert type(caught.value) is error, caught.value
        return caught.value

    def without(self, *schemes: str) -> SignaturePolicy:
        return replace(self.policy, schemes=tuple(scheme for scheme in ALL if scheme not in schemes))


@pytest.fixture
def verifier() -> Verifier:
    return Verifier()


def signed(scheme: SignatureKey, key: SigningKey = AGENT_KEY, **options: Any) -> Request:
    request = Request(options.pop("method", "GET"), f"{RESOURCE}/calendar?day=1", Fields())
    return sign(request, key, scheme, **{"created": int(NOW), **options})


Signer = Callable[..., Request]
