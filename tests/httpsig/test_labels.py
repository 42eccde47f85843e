from __future__ import annotations

import pytest

from aauthlib.errors import ConfigurationError, InvalidInput, InvalidSignature, UnsupportedScheme
from aauthlib.fields import parse_dictionary
from aauthlib.http import Fields, Request
from aauthlib.httpsig import HWK, JWT, LabelledSigner, SignaturePolicy, select, sign, sign_all
from aauthlib.keys import PublicKey, SigningKey
from aauthlib.tokens import AgentToken, VerificationPolicy
from aauthlib.verification import Level, authenticate_all
from tests.tokens.minting import AGENT_KEY, NOW, OTHER_KEY, RESOURCE, Issuers, mint

pytestmark = pytest.mark.spec("signature-key#3.2")

POLICY = SignaturePolicy(schemes=("jwt", "hwk"))
MESSAGE = Request("POST", RESOURCE + "/calendar?day=1", Fields({"content-type": "text/plain", "x-tenant": "a"}), b"hi")
AGENT = LabelledSigner("agent", AGENT_KEY, JWT(mint("aa-agent+jwt")))
GATEWAY = LabelledSigner("gateway", OTHER_KEY, HWK.of(OTHER_KEY.public), components=("x-tenant",), tag="gateway")
KEYS: dict[str, PublicKey] = {"agent": AGENT_KEY.public, "gateway": OTHER_KEY.public}


def both(*signers: LabelledSigner) -> Request:
    return sign_all(MESSAGE, signers or (AGENT, GATEWAY), created=int(NOW))


def callers(request: Request, *labels: str, policy: SignaturePolicy = POLICY) -> dict[str, Level]:
    flow = authenticate_all(
        request, labels, now=NOW, signature=policy, tokens=VerificationPolicy(), accepted=(AgentToken,)
    )
    return {label: caller.level for label, caller in Issuers().run(flow).items()}


def test_every_label_stands_in_all_three_headers_in_one_order() -> None:
    headers = both().headers
    for name in ("signature-key", "signature-input", "signature"):
        assert list(parse_dictionary(headers.get(name) or "")) == ["agent", "gateway"]
        assert len(headers.get_all(name)) == 1


@pytest.mark.parametrize("label", ["agent", "gateway"])
def test_each_of_several_signatures_can_be_chosen_and_verifies(label: str) -> None:
    signed = select(both(), POLICY, now=NOW, label=label)
    assert signed.label == label
    assert {"signature-key", "content-digest", "content-type"} <= set(signed.covered)
    assert ("x-tenant" in signed.covered) is (label == "gateway")
    signed.verify(KEYS[label])
    with pytest.raises(InvalidSignature):
        signed.verify(SigningKey.generate().public)


def test_all_required_labels_are_verified() -> None:
    assert callers(both(), "agent", "gateway") == {"agent": Level.IDENTIFIED, "gateway": Level.PSEUDONYM}
    assert callers(both(), "gateway") == {"gateway": Level.PSEUDONYM}


@pytest.mark.spec("signature-key#3.1")
def test_a_required_label_that_is_missing_fails_the_request() -> None:
    only_agent = sign(MESSAGE, AGENT_KEY, AGENT.signature_key, created=int(NOW), label="agent")
    for request in (both(AGENT), only_agent, MESSAGE):
        with pytest.raises(InvalidSignature):
            callers(request, "agent", "gateway")
    assert callers(only_agent, "agent") == {"agent": Level.IDENTIFIED}


@pytest.mark.spec("signature-key#7.8")
@pytest.mark.parametrize("broken", ["agent", "gateway"])
def test_no_key_can_be_exchanged_or_removed_once_all_signed(broken: str) -> None:
    request = both()
    stranger = SigningKey.generate()
    exchanged = sign_all(
        MESSAGE, [AGENT, LabelledSigner("gateway", stranger, HWK.of(stranger.public))], created=int(NOW)
    )
    field = exchanged.headers.get("signature-key")
    removed = (request.headers.get("signature-key") or "").partition(", gateway=")[0]
    for tampered in (request.with_headers(signature_key=field), request.with_headers(signature_key=removed)):
        with pytest.raises(InvalidSignature):
            callers(tampered, broken)


def test_a_label_that_is_not_asked_for_does_not_matter() -> None:
    signers = (AGENT, LabelledSigner("other", OTHER_KEY, HWK({"kty": "PQ"})))
    assert callers(both(*signers), "agent") == {"agent": Level.IDENTIFIED}
    with pytest.raises(UnsupportedScheme):
        callers(both(), "gateway", policy=SignaturePolicy(schemes=("jwt",)))


def test_each_signature_must_cover_what_is_required() -> None:
    policy = SignaturePolicy(schemes=("jwt", "hwk"), components=("x-tenant",))
    assert callers(both(), "gateway", policy=policy) == {"gateway": Level.PSEUDONYM}
    with pytest.raises(InvalidInput):
        callers(both(), "agent", "gateway", policy=policy)


def test_labels_are_told_apart() -> None:
    for signers in ((), (AGENT, AGENT)):
        with pytest.raises(ConfigurationError):
            sign_all(MESSAGE, signers, created=int(NOW))


def test_each_signature_has_the_tag_of_its_party() -> None:
    inputs = parse_dictionary(both().headers.get("signature-input") or "")

    assert {label: parameters.get("tag") for label, (_, parameters) in inputs.items()} == {
        "agent": None,
        "gateway": "gateway",
    }


def test_a_body_is_left_uncovered_by_all_when_asked() -> None:
    request = sign_all(MESSAGE, (AGENT, GATEWAY), created=int(NOW), cover_body=False)

    for label in ("agent", "gateway"):
        assert "content-digest" not in select(request, POLICY, now=NOW, label=label).covered
