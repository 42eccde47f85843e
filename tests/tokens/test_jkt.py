from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from aauthlib import jws
from aauthlib.errors import AAuthError, InvalidKey, TokenExpired, TokenFromFuture, TokenInvalid, UnsupportedAlgorithm
from aauthlib.keys import SigningKey, thumbprint
from aauthlib.tokens import VerificationPolicy, issue_jkt_jwt, verify_jkt_jwt
from aauthlib.tokens.jkt import JKTDelegation
from tests.tokens.minting import MISSING, NOW, OTHER_KEY, unsigned, without

DURABLE = SigningKey.generate("ES256")
EPHEMERAL = SigningKey.generate()
KINDS = pytest.mark.parametrize(
    ("typ", "hash_name", "prefix"),
    [("jkt-s256+jwt", "sha256", "urn:jkt:sha-256:"), ("jkt-s512+jwt", "sha512", "urn:jkt:sha-512:")],
)


def delegation(text: str, now: float = NOW) -> JKTDelegation:
    return verify_jkt_jwt(text, now=now, policy=VerificationPolicy())


def mint(*, key: SigningKey = DURABLE, header: Mapping[str, Any] | None = None, **claims: Any) -> str:
    honest = {
        "iss": "urn:jkt:sha-256:" + DURABLE.thumbprint,
        "iat": int(NOW),
        "exp": int(NOW) + 300,
        "cnf": {"jwk": EPHEMERAL.public.to_jwk()},
    }
    head = {"typ": "jkt-s256+jwt", "jwk": DURABLE.public.to_jwk(), **(header or {})}
    return jws.sign(without(head), without({**honest, **claims}), key)


def refuse(text: str, error: type[AAuthError] = TokenInvalid, now: float = NOW) -> None:
    with pytest.raises(error) as caught:
        delegation(text, now)
    assert type(caught.value) is error


@KINDS
@pytest.mark.spec("signature-key#3.5")
def test_a_delegation_names_both_keys_and_the_pseudonym(typ: str, hash_name: str, prefix: str) -> None:
    found = delegation(issue_jkt_jwt(DURABLE, EPHEMERAL.public, jti="j", now=NOW, typ=typ))

    assert (found.durable, found.ephemeral) == (DURABLE.public, EPHEMERAL.public)
    assert found.iss == prefix + thumbprint(DURABLE.public.jwk, hash_name)
    assert (found.exp, found.jti) == (NOW + 300, "j")


@pytest.mark.spec("signature-key#3.5")
def test_step_1_what_is_no_jwt_is_refused() -> None:
    refuse("not.a.jwt")
    refuse("")


@pytest.mark.parametrize("typ", [MISSING, "JWT", "jkt-s384+jwt", "aa-agent+jwt", 7, ["jkt-s256+jwt"]])
@pytest.mark.spec("signature-key#3.5")
def test_step_2_another_typ_is_refused(typ: Any) -> None:
    refuse(mint(header={"typ": typ}))


@KINDS
@pytest.mark.spec("signature-key#3.5")
def test_step_3_typ_and_the_prefix_of_iss_must_agree(typ: str, hash_name: str, prefix: str) -> None:
    other = {"urn:jkt:sha-256:": "urn:jkt:sha-512:", "urn:jkt:sha-512:": "urn:jkt:sha-256:"}[prefix]

    refuse(mint(header={"typ": typ}, iss=other + thumbprint(DURABLE.public.jwk, hash_name)))


@pytest.mark.parametrize("jwk", [MISSING, None, "key", []])
@pytest.mark.spec("signature-key#3.5")
def test_step_4_a_delegation_without_its_signing_key_is_refused(jwk: Any) -> None:
    refuse(mint(header={"jwk": jwk}))


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"alg": MISSING}, UnsupportedAlgorithm),
        ({"alg": "EdDSA"}, UnsupportedAlgorithm),
        ({"alg": "HS256"}, UnsupportedAlgorithm),
        ({"alg": "Ed25519"}, InvalidKey),
        ({"x": "AAAA"}, InvalidKey),
        ({"d": "AAAA"}, InvalidKey),
    ],
)
@pytest.mark.spec("signature-key#3.5", "signature-key#3.3")
def test_step_4_the_signing_key_is_subject_to_algorithm_determination(change: Any, error: type[AAuthError]) -> None:
    refuse(mint(header={"jwk": without({**DURABLE.public.to_jwk(), **change})}), error)


@pytest.mark.parametrize(
    "iss",
    [
        MISSING, None, "", DURABLE.thumbprint, "urn:jkt:sha-256:" + OTHER_KEY.thumbprint,
        "URN:jkt:sha-256:" + DURABLE.thumbprint, "urn:jkt:sha-256:" + DURABLE.thumbprint + "=", [DURABLE.thumbprint],
    ],
    ids=["missing", "null", "empty", "thumbprint alone", "another key", "upper case", "padded", "in a list"],
)  # fmt: skip
@pytest.mark.spec("signature-key#3.5")
def test_steps_5_to_7_iss_is_the_thumbprint_of_the_signing_key_by_string_equality(iss: Any) -> None:
    refuse(mint(iss=iss))


@pytest.mark.spec("signature-key#3.5")
def test_step_8_a_delegation_that_the_durable_key_did_not_sign_is_refused() -> None:
    refuse(mint(key=SigningKey.generate("ES256")))
    refuse(mint(key=OTHER_KEY))  # whose alg is another than the key's


@pytest.mark.parametrize("alg", [MISSING, "none", "HS256", "EdDSA"])
@pytest.mark.spec("signature-key#3.5", "signature-key#7.5")
def test_step_8_an_unsigned_delegation_is_refused(alg: Any) -> None:
    payload = jws.parse(mint()).payload

    refuse(unsigned(without({"typ": "jkt-s256+jwt", "jwk": DURABLE.public.to_jwk(), "alg": alg}), payload))


@pytest.mark.spec("signature-key#3.5")
def test_step_9_a_delegation_ends_at_exp() -> None:
    assert delegation(mint(), NOW + 299.9).exp == NOW + 300
    refuse(mint(), TokenExpired, NOW + 300)
    refuse(mint(iat=int(NOW) + 61), TokenFromFuture)
    for claim in ("iat", "exp"):
        refuse(mint(**{claim: MISSING}))


@pytest.mark.parametrize("cnf", [MISSING, {}, {"jwk": {}}, {"jwk": {"kty": "OKP", "alg": "Ed25519"}}])
@pytest.mark.spec("signature-key#3.5")
def test_step_10_a_delegation_to_no_key_is_refused(cnf: Any) -> None:
    refuse(mint(cnf=cnf))


@pytest.mark.spec("signature-key#3.5", "signature-key#3.3")
def test_step_10_the_delegated_key_is_subject_to_algorithm_determination() -> None:
    refuse(mint(cnf={"jwk": {**EPHEMERAL.public.to_jwk(), "alg": "EdDSA"}}), UnsupportedAlgorithm)


@pytest.mark.spec("signature-key#3.5")
def test_jti_is_optional_but_must_be_a_string() -> None:
    assert delegation(mint()).jti is None
    refuse(mint(jti=7))


@pytest.mark.spec("signature-key#3.5", "#signature-algorithms")
def test_the_durable_key_is_of_an_algorithm_that_is_accepted() -> None:
    text = issue_jkt_jwt(DURABLE, EPHEMERAL.public, jti="j", now=NOW)  # the durable key is for ES256

    with pytest.raises(UnsupportedAlgorithm) as caught:
        verify_jkt_jwt(text, now=NOW, policy=VerificationPolicy(algorithms=("Ed25519",)))
    assert caught.value.accepted == ("Ed25519",)


@pytest.mark.spec("signature-key#3.5")
def test_a_delegation_is_by_sha_256_unless_asked_otherwise() -> None:
    found = delegation(issue_jkt_jwt(DURABLE, EPHEMERAL.public, jti="j", now=NOW))

    assert found.iss == "urn:jkt:sha-256:" + DURABLE.thumbprint
