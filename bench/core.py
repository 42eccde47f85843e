"""What aauthlib itself does per second, and the raw limit: `cryptography` over the same bytes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from itertools import repeat

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from rounds import Subject
from world import World, requests, signed

from aauthlib.http import Request
from aauthlib.httpsig import HWK, JWT, SignaturePolicy, sign
from aauthlib.httpsig.components import signature_base
from aauthlib.httpsig.verifying import select
from aauthlib.keys import SigningKey, use_ed25519_backend
from aauthlib.tokens import AgentToken, AuthToken, PersonToken, TokenCache, VerificationPolicy
from aauthlib.transport import Wire
from aauthlib.verification import Level, authenticate

ACCEPTED = (AgentToken, PersonToken, AuthToken)
SIGNATURES = SignaturePolicy(schemes=("jwt", "hwk"))
TOKENS = VerificationPolicy()


def verify_all(wire: Wire, arrived: Iterable[Request], cache: TokenCache, level: Level) -> int:
    count, now = 0, time.time()
    for request in arrived:
        caller = wire.run(
            authenticate(request, now=now, signature=SIGNATURES, tokens=TOKENS, accepted=ACCEPTED, cache=cache)
        )
        if caller.level is not level:
            raise AssertionError("the request was not verified as it should be")
        count += 1
    return count


def warmed(wire: Wire, world: World) -> TokenCache:
    """A cache that has seen the returning agent's token; the directory behind `wire` has its provider's key."""
    cache = TokenCache()
    verify_all(wire, returning(world)[:1], cache, Level.IDENTIFIED)
    return cache


def returning(world: World) -> list[Request]:
    return signed(repeat((world.agent, JWT(world.token))))


def strangers(world: World) -> list[Request]:
    return signed((key, JWT(token)) for key, token in zip(world.strangers, world.stranger_tokens, strict=True))


def subjects(world: World) -> list[Subject]:
    """Raw and ours, over requests of the same shape."""
    private = Ed25519PrivateKey.generate()
    agent = SigningKey.from_jwk(_private_jwk(private))
    public = private.public_key()
    wire = world.wire()
    cache = warmed(wire, world)

    def bases() -> list[tuple[bytes, bytes]]:
        arrived = (select(r, SIGNATURES, now=time.time()) for r in signed(repeat((agent, JWT(world.token)))))
        return [(s.signature, signature_base(s.request, s.covered, s.params)) for s in arrived]

    def raw_sign() -> Callable[[], int]:
        data = [base for _, base in bases()]

        def run() -> int:
            for base in data:
                private.sign(base)
            return len(data)

        return run

    def raw_verify() -> Callable[[], int]:
        data = bases()

        def run() -> int:
            for signature, base in data:
                public.verify(signature, base)
            return len(data)

        return run

    def ours_sign() -> Callable[[], int]:
        unsigned, key, scheme, created = requests(), world.agent, JWT(world.token), int(time.time())

        def run() -> int:
            for request in unsigned:
                sign(request, key, scheme, created=created)
            return len(unsigned)

        return run

    def warm() -> Callable[[], int]:
        arrived = returning(world)
        return lambda: verify_all(wire, arrived, cache, Level.IDENTIFIED)

    def cold() -> Callable[[], int]:
        arrived, empty = strangers(world), TokenCache()
        return lambda: verify_all(wire, arrived, empty, Level.IDENTIFIED)

    def pseudonym() -> Callable[[], int]:
        arrived = signed(repeat((world.agent, HWK.of(world.agent.public))))
        return lambda: verify_all(wire, arrived, cache, Level.PSEUDONYM)

    return [
        Subject("raw_verify", raw_verify),
        Subject("verify_warm", warm),
        Subject("verify_cold", cold),
        Subject("verify_hwk", pseudonym),
        Subject("raw_sign", raw_sign),
        Subject("sign", ours_sign),
    ]


def fast_subjects(world: World) -> list[Subject]:
    """Verification with Ed25519 through PyNaCl; raises `ImportError` without it."""
    use_ed25519_backend("pynacl")
    try:
        wire = world.wire()
        cache = warmed(wire, world)  # its keys stay with libsodium
    finally:
        use_ed25519_backend("cryptography")

    def warm() -> Callable[[], int]:
        arrived = returning(world)
        return lambda: verify_all(wire, arrived, cache, Level.IDENTIFIED)

    def cold() -> Callable[[], int]:
        arrived, empty = strangers(world), TokenCache()

        def run() -> int:
            use_ed25519_backend("pynacl")
            try:
                return verify_all(wire, arrived, empty, Level.IDENTIFIED)
            finally:
                use_ed25519_backend("cryptography")

        return run

    return [Subject("verify_warm_fast_backend", warm), Subject("verify_cold_fast_backend", cold)]


def _private_jwk(private: Ed25519PrivateKey) -> dict[str, str]:
    from aauthlib.base64url import b64url_encode

    x, d = private.public_key().public_bytes_raw(), private.private_bytes_raw()
    return {"kty": "OKP", "crv": "Ed25519", "alg": "Ed25519", "x": b64url_encode(x), "d": b64url_encode(d)}
