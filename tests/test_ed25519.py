"""Which library verifies Ed25519 decides how fast, never whether."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from aauthlib import ed25519
from aauthlib.base64url import b64url_encode
from aauthlib.errors import InvalidKey
from aauthlib.keys import PublicKey, SigningKey, use_ed25519_backend

pytestmark = pytest.mark.spec("#signature-algorithms")

BACKENDS: tuple[ed25519.Backend, ...] = ("cryptography", "pynacl")

# --------------------------------------------------------------------------- the curve, as RFC 8032 writes it

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
Point = tuple[int, int]


def add(a: Point, b: Point) -> Point:
    t = D * a[0] * b[0] * a[1] * b[1] % P
    x = (a[0] * b[1] + b[0] * a[1]) * pow(1 + t, -1, P) % P
    return x, (a[1] * b[1] + a[0] * b[0]) * pow(1 - t, -1, P) % P


def times(scalar: int, point: Point) -> Point:
    result: Point = (0, 1)
    while scalar:
        if scalar & 1:
            result = add(result, point)
        point, scalar = add(point, point), scalar >> 1
    return result


def on_curve(y: int) -> Point | None:
    """The point with this y and an even x."""
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if (x * x - square) % P:
        return None
    return (x if x % 2 == 0 else P - x), y


def encode(point: Point) -> bytes:
    return (point[1] | (point[0] & 1) << 255).to_bytes(32, "little")


def octets(number: int) -> bytes:
    return number.to_bytes(32, "little")


def point(y: int) -> Point:
    found = on_curve(y)
    assert found is not None
    return found


BASE = point(4 * pow(5, -1, P) % P)
_ORDER_8_Y = "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"
ORDER_8 = point(int.from_bytes(bytes.fromhex(_ORDER_8_Y), "little"))
SMALL = [times(n, ORDER_8) for n in range(8)]
SECRET, NONCE, DATA = 0x1234_5678_9ABC_DEF0_1234, 0xFEDC_BA98_7654_3210, b"hello"
KEY = times(SECRET, BASE)


def signature(r: bytes, key: bytes, *, nonce: int = NONCE, data: bytes = DATA) -> bytes:
    """What the holder of SECRET makes with a commitment `r` of their choosing."""
    challenge = int.from_bytes(hashlib.sha512(r + key + data).digest(), "little") % ORDER
    return r + octets((nonce + challenge * SECRET) % ORDER)


HONEST = signature(encode(times(NONCE, BASE)), encode(KEY))


def cases() -> Iterator[tuple[str, bytes, bytes]]:
    """Key and signature at the edges where libraries are known to differ."""
    key = encode(KEY)
    yield "honest", key, HONEST
    yield "S plus the group order", key, HONEST[:32] + octets(int.from_bytes(HONEST[32:], "little") + ORDER)
    yield "S is the group order", key, HONEST[:32] + octets(ORDER)
    yield "all bits of S", key, HONEST[:32] + b"\xff" * 32
    yield "too short", key, HONEST[:63]
    yield "too long", key, HONEST + b"\0"
    yield "empty", key, b""
    yield "zero", key, bytes(64)
    for number, small in enumerate(SMALL):
        yield f"R is small {number}", key, signature(encode(small), key, nonce=0)
        yield f"R plus small {number}", key, signature(encode(add(times(NONCE, BASE), small)), key)
        yield f"R is small {number} with the other sign", key, signature(_flip(encode(small)), key, nonce=0)
        mixed = encode(add(KEY, small))
        for nonce in range(NONCE, NONCE + 9):
            r = encode(times(nonce, BASE))
            yield f"key plus small {number}, nonce {nonce}", mixed, signature(r, mixed, nonce=nonce)
    for y in (0, 1, P - 1):
        yield f"R spelled as {y} plus p", key, signature(octets((y + P) % 2**255), key, nonce=0)
    yield "R is not on the curve", key, signature(octets(2), key)
    yield "key is not on the curve", octets(2), HONEST


def _flip(encoded: bytes) -> bytes:
    return encoded[:31] + bytes([encoded[31] ^ 0x80])


def accepts(backend: ed25519.Backend, key: bytes, signed: bytes, data: bytes = DATA) -> bool:
    ed25519.use_backend(backend)
    try:
        ed25519.verify(ed25519.load_public(key), signed, data)
    except (InvalidSignature, InvalidKey):
        return False
    finally:
        ed25519.use_backend("cryptography")
    return True


# --------------------------------------------------------------------------- tests

CASES = list(cases())


@pytest.mark.parametrize(("key", "signed"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_both_backends_judge_an_edge_case_alike(key: bytes, signed: bytes) -> None:
    assert accepts("cryptography", key, signed) == accepts("pynacl", key, signed)


def test_only_the_honest_signature_is_accepted_under_an_honest_key() -> None:
    accepted = [name for name, key, signed in CASES if key == encode(KEY) and accepts("cryptography", key, signed)]
    # "R plus small 0" adds the neutral point and is the honest signature again.
    assert accepted == ["honest", "R plus small 0", *[f"key plus small 0, nonce {NONCE + n}" for n in range(9)]]


@pytest.mark.parametrize("backend", BACKENDS)
@given(seed=st.binary(min_size=32, max_size=32), data=st.binary(max_size=200), bit=st.integers(0, 511))
def test_a_signature_verifies_until_one_bit_of_it_changes(
    backend: ed25519.Backend, seed: bytes, data: bytes, bit: int
) -> None:
    private = Ed25519PrivateKey.from_private_bytes(seed)
    key, signed = private.public_key().public_bytes_raw(), private.sign(data)
    changed = bytearray(signed)
    changed[bit // 8] ^= 1 << bit % 8
    assert accepts(backend, key, signed, data)
    assert not accepts(backend, key, bytes(changed), data)
    assert not accepts(backend, key, signed, data + b"x")


@given(key=st.binary(min_size=32, max_size=32), signed=st.binary(min_size=64, max_size=64))
def test_both_backends_judge_noise_alike(key: bytes, signed: bytes) -> None:
    assert accepts("cryptography", key, signed) == accepts("pynacl", key, signed)


@pytest.mark.parametrize("y", [y for y in range(19) if on_curve(y) is not None])
def test_a_key_in_its_second_spelling_is_refused(y: int) -> None:
    for sign in (0, 1 << 255):
        with pytest.raises(InvalidKey):
            ed25519.load_public(octets(y + P | sign))


@pytest.mark.parametrize("small", SMALL)
def test_a_key_of_small_order_is_refused(small: Point) -> None:
    with pytest.raises(InvalidKey, match="small order"):
        ed25519.load_public(encode(small))


def test_a_key_loaded_before_the_choice_keeps_working() -> None:
    signing = SigningKey.generate()
    signed = signing.sign(DATA)
    before = signing.public
    use_ed25519_backend("pynacl")
    try:
        after = PublicKey.from_jwk(before.to_jwk())
        assert before.verify(signed, DATA)
        assert after.verify(signed, DATA)
        assert not after.verify(signed, DATA + b"!")
        assert after == before
    finally:
        use_ed25519_backend("cryptography")


def test_another_name_is_refused() -> None:
    with pytest.raises(ValueError, match="cryptography or pynacl"):
        use_ed25519_backend("fastest")  # type: ignore[arg-type]


def test_a_libsodium_that_accepts_more_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nacl.bindings.crypto_sign_open", lambda signed, key: signed[64:])
    with pytest.raises(ValueError, match="cofactor"):
        use_ed25519_backend("pynacl")


def test_a_signature_that_only_holds_times_the_cofactor_is_refused() -> None:
    r = encode(add(times(NONCE, BASE), ORDER_8))
    assert not any(accepts(backend, encode(KEY), signature(r, encode(KEY))) for backend in BACKENDS)


def test_the_key_of_a_jwk_in_its_second_spelling_is_refused() -> None:
    x = b64url_encode(octets(3 + P))
    with pytest.raises(InvalidKey):
        PublicKey.from_jwk({"kty": "OKP", "crv": "Ed25519", "alg": "Ed25519", "x": x})
