"""What an agent makes of `Accept-Signature-Scheme`, `Accept-Signature-Alg` and `Signature-Key-Cache`."""

from __future__ import annotations

import pytest

from aauthlib.agent.credentials import Credential, ServerMemory
from aauthlib.agent.negotiation import learn, level_for, usable_algorithms
from aauthlib.http import Fields, Response
from aauthlib.httpsig import HWK, JWT, Cached
from aauthlib.keys import SigningKey
from aauthlib.tokens import AgentToken, VerificationPolicy
from aauthlib.tokens.profile import read
from aauthlib.verification import Level
from tests.tokens.minting import AGENT_KEY, NOW, mint

ES256 = SigningKey.generate("ES256")


def answer(**headers: str) -> Response:
    return Response(401, Fields((name.replace("_", "-"), value) for name, value in headers.items()))


def accepting(schemes: str, algorithms: str | None = None) -> Response:
    more = {} if algorithms is None else {"accept_signature_alg": algorithms}
    return answer(accept_signature_scheme=schemes, **more)


def holding(jti: str = "t1") -> Credential:
    token = read(mint("aa-agent+jwt", jti=jti), AgentToken, now=NOW, policy=VerificationPolicy()).token
    assert isinstance(token, AgentToken)
    return Credential(Level.IDENTIFIED, AGENT_KEY, token)


@pytest.mark.spec("signature-key#4.1", "signature-key#4.2", "signature-key#4.9")
@pytest.mark.parametrize(
    ("schemes", "algorithms", "own", "level"),
    [
        ("hwk", None, None, Level.PSEUDONYM),
        ("jwt, hwk", None, None, Level.PSEUDONYM),
        ("x510, jwt;q=1", None, None, Level.IDENTIFIED),
        ("jwt", "ES256", None, Level.IDENTIFIED),
        ("jwt", "ES256", AGENT_KEY, None),
        ("jwt", "ES256", ES256, Level.IDENTIFIED),
        ("jwt, hwk", "ES256", AGENT_KEY, Level.PSEUDONYM),
        ("hwk", "ML-DSA-999, Ed25519", None, Level.PSEUDONYM),
        ("hwk", "ML-DSA-999", None, None),
        ("hwk", "es256, EdDSA, HS256, none", None, None),
        ("hwk", '"Ed25519"', None, None),
        ("hwk", "(((", None, Level.PSEUDONYM),
        ("HWK, JWT", None, None, None),
        ("cached, x509, jwks_uri", None, None, None),
        ('"hwk"', None, None, None),
        ("hwk,", None, None, None),
        ("", None, None, None),
    ],
)
def test_the_lowest_rung_that_will_do_and_can_be_stood_on_is_chosen(
    schemes: str, algorithms: str | None, own: SigningKey | None, level: Level | None
) -> None:
    assert level_for(accepting(schemes, algorithms), own) is level


@pytest.mark.spec("signature-key#4.1")
def test_without_the_header_nothing_is_signed() -> None:
    assert level_for(answer(accept_signature_alg="Ed25519"), None) is None
    assert usable_algorithms(answer()) is None


@pytest.mark.spec("signature-key#4.2")
def test_a_pseudonym_has_a_key_of_an_algorithm_the_server_accepts_and_keeps_it() -> None:
    memory = ServerMemory(Level.PSEUDONYM)
    first = memory.pseudonym_key(SigningKey.generate)
    learn(accepting("hwk", "Ed25519, ES256"), Credential(Level.PSEUDONYM, first), memory)
    assert memory.pseudonym_key(SigningKey.generate) is first
    learn(accepting("hwk", "ML-DSA-999, ES256"), Credential(Level.PSEUDONYM, first), memory)
    second = memory.pseudonym_key(SigningKey.generate)
    assert second.alg == "ES256"
    learn(accepting("hwk", "ML-DSA-999"), Credential(Level.PSEUDONYM, second), memory)
    learn(answer(), Credential(Level.PSEUDONYM, second), memory)
    assert memory.pseudonym_key(SigningKey.generate) is second


@pytest.mark.spec("signature-key#3.11", "signature-key#4.1", "signature-key#6")
def test_an_identifier_is_asked_for_where_it_is_given_and_presented_for_its_token_only() -> None:
    memory, mine, other = ServerMemory(Level.IDENTIFIED), holding("t1"), holding("t2")
    assert mine.token is not None
    assert mine.signature_key(cid=memory.cid_for(mine), cache=memory.caches) == JWT(mine.token.raw)
    learn(accepting("cached, jwt"), mine, memory)
    assert mine.signature_key(cid=memory.cid_for(mine), cache=memory.caches) == JWT(mine.token.raw, cache=True)
    learn(answer(signature_key_cache='sig="2f9c-a";jti="t1";expires=5'), mine, memory)
    assert mine.signature_key(cid=memory.cid_for(mine), cache=memory.caches) == Cached("2f9c-a")
    assert memory.cid_for(other) is None
    learn(accepting("jwt"), mine, memory)
    assert memory.caches is False
    memory.forget_cid("another")
    assert memory.cid_for(mine) == "2f9c-a"
    memory.forget_cid("2f9c-a")
    assert memory.cid_for(mine) is None


@pytest.mark.spec("signature-key#6")
@pytest.mark.parametrize(
    "value",
    [
        "sig",
        "sig=token",
        "sig=:AAAA:",
        'other="2f"',
        'sig=""',
        'sig="a\\"b"',
        f'sig="{"a" * 1025}"',
        "(((",
        'sig=("a")',
    ],
)
def test_what_is_no_identifier_for_our_signature_is_passed_over(value: str) -> None:
    memory, mine = ServerMemory(Level.IDENTIFIED), holding()
    learn(answer(signature_key_cache=value), mine, memory)
    assert memory.cid_for(mine) is None


def test_identifiers_are_bounded_and_none_is_kept_for_a_bare_key() -> None:
    memory = ServerMemory(Level.IDENTIFIED)
    held = [holding(f"t{n}") for n in range(40)]
    for credential in held:
        learn(answer(signature_key_cache='sig="cid"'), credential, memory)
    assert sum(memory.cid_for(credential) is not None for credential in held) == 32
    bare = Credential(Level.PSEUDONYM, AGENT_KEY)
    learn(answer(signature_key_cache='sig="cid"'), bare, memory)
    assert memory.cid_for(bare) is None
    assert bare.signature_key(cid=None, cache=True) == HWK.of(AGENT_KEY.public)
