"""The published examples of RFC 9421: component values of Section 2, signatures of Appendix B and elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aauthlib.errors import InvalidSignature
from aauthlib.http import Fields, Request, Response
from aauthlib.httpsig import Context
from aauthlib.httpsig.components import component, component_value, signature_base
from aauthlib.httpsig.messages import MessagePolicy, SignatureParameters, select_signature, sign_message
from aauthlib.keys import ALGORITHMS, SigningKey

VECTORS = Path(__file__).parent.parent / "vectors"
SIGNATURES = json.loads((VECTORS / "rfc9421.json").read_text())
COMPONENTS = json.loads((VECTORS / "rfc9421-components.json").read_text())
KEYS = {name: SigningKey.from_jwk(jwk) for name, jwk in SIGNATURES["keys"].items()}
CASES = SIGNATURES["cases"]
VALID = [case for case in CASES if case["verifies"]]
#: They were made in 2021, within a few seconds of each other.
ANY_AGE = MessagePolicy(window_s=None)


def message(vector: dict[str, Any]) -> Any:
    headers = Fields([tuple(pair) for pair in vector["headers"]])
    body = vector.get("body", "").encode()
    if "status" in vector:
        return Response(vector["status"], headers, body)
    return Request(vector["method"], vector["url"], headers, body)


def context(case: dict[str, Any], *, signed: bool) -> Context:
    about = message(case["message"])
    if signed:
        label = case["label"]
        headers = about.headers.with_(
            signature_input=f"{label}={case['params']}", signature=f"{label}=:{case['signature']}:"
        )
        about = (
            Request(about.method, about.url, headers, about.body)
            if isinstance(about, Request)
            else Response(about.status, headers, about.body)
        )
    return Context(about, message(case["request"]) if "request" in case else None)


@pytest.mark.spec("rfc9421#B", "rfc9421#2.4", "rfc9421#2.5", "rfc9421#3.2", "rfc9421#4.3")
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['section']} {case['title']}")
def test_each_published_signature_verifies_or_fails_as_published(case: dict[str, Any]) -> None:
    signature = select_signature(context(case, signed=True), ANY_AGE, now=1_618_884_500)
    key = KEYS[case["key"]].public
    if case["verifies"]:
        signature.verify(key)
    else:
        with pytest.raises(InvalidSignature, match="does not verify"):
            signature.verify(key)
    other = next(key for name, key in KEYS.items() if name != case["key"])
    with pytest.raises(InvalidSignature):
        signature.verify(other.public)


@pytest.mark.spec("rfc9421#2.5", "rfc9421#B")
@pytest.mark.parametrize("case", VALID, ids=lambda case: f"{case['section']} {case['title']}")
def test_each_published_signature_base_is_built(case: dict[str, Any]) -> None:
    read = select_signature(context(case, signed=True), ANY_AGE, now=1_618_884_500)
    base = signature_base(context(case, signed=False), read.covered, case["params"])
    assert base.decode().split("\n") == case["base"]


@pytest.mark.spec("rfc9421#3.1", "rfc9421#B")
@pytest.mark.parametrize("case", VALID, ids=lambda case: f"{case['section']} {case['title']}")
def test_each_published_signature_is_made_anew_with_the_same_fields(case: dict[str, Any]) -> None:
    read = select_signature(context(case, signed=True), ANY_AGE, now=1_618_884_500)
    unsigned = context(case, signed=False)
    key = KEYS[case["key"]]
    signed = sign_message(unsigned.message, key, read.covered, read.parameters, label=case["label"], context=unsigned)
    assert signed.headers.get("signature-input") == f"{case['label']}={case['params']}"
    if key.alg in {"Ed25519", "RS256"}:  # the others sign differently each time
        assert signed.headers.get("signature") == f"{case['label']}=:{case['signature']}:"
    again = select_signature(Context(signed, unsigned.request), ANY_AGE, now=1_618_884_500)
    again.verify(key.public)


@pytest.mark.spec("rfc9421#2.1", "rfc9421#2.1.1", "rfc9421#2.1.2", "rfc9421#2.1.3", "rfc9421#2.1.4")
@pytest.mark.spec("rfc9421#2.2", "rfc9421#2.2.8", "rfc9421#2.2.9")
@pytest.mark.parametrize("example", COMPONENTS["examples"], ids=lambda example: example["section"])
def test_each_published_component_has_its_value(example: dict[str, Any]) -> None:
    about = Context(
        message(example["message"]),
        trailers=Fields([tuple(pair) for pair in example["message"].get("trailers", [])]),
        structured=COMPONENTS["structured"],
    )
    assert example["lines"]
    for line in example["lines"]:
        identifier, _, value = line.partition(": ")
        assert component_value(about, component(identifier)) == value, identifier


@pytest.mark.spec("rfc9421#3.3")
def test_the_published_keys_are_of_every_asymmetric_algorithm_but_one() -> None:
    assert {key.alg for key in KEYS.values()} == {"PS512", "RS256", "ES256", "Ed25519"} <= set(ALGORITHMS)


@pytest.mark.spec("rfc9421#4.3")
def test_the_request_of_section_4_3_carries_both_published_signatures() -> None:
    client, proxy = (case for case in CASES if case["section"] == "4.3")
    about = message(proxy["message"])
    headers = about.headers.with_(
        signature_input=f"sig1={client['params']}, proxy_sig={proxy['params']}",
        signature=f"sig1=:{client['signature']}:, proxy_sig=:{proxy['signature']}:",
    )
    forwarded = Request(about.method, about.url, headers, about.body)
    policy = MessagePolicy(window_s=60, label="proxy_sig", components=("forwarded",))
    select_signature(forwarded, policy, now=1_618_884_500).verify(KEYS["test-key-rsa"].public)
    with pytest.raises(InvalidSignature, match="expires"):
        select_signature(forwarded, MessagePolicy(window_s=None, label="proxy_sig"), now=1_618_884_540)
    # The client signed for another authority.
    stale = select_signature(forwarded, MessagePolicy(window_s=60, label="sig1"), now=1_618_884_500)
    with pytest.raises(InvalidSignature):
        stale.verify(KEYS["test-key-ecc-p256"].public)


def test_parameters_are_written_in_the_order_of_the_examples() -> None:
    written = SignatureParameters(created=1, keyid="k", alg="a", expires=2, nonce="n", tag="t").written()
    assert list(written) == ["created", "keyid", "alg", "expires", "nonce", "tag"]
