"""What fuzzing has found and kept is tried again with every run of the tests, and a little more (fuzz/README.md)."""

from __future__ import annotations

import random

import pytest

from fuzz import seeds, targets

#: Inputs in all, shared equally by the targets.
INPUTS = 20_000


def corpus(target: str) -> list[bytes]:
    folder = seeds.CORPUS / target
    return [path.read_bytes() for path in sorted(folder.iterdir())]


def mutated(data: bytes, other: bytes, dice: random.Random) -> bytes:
    """`data` with a few bytes changed, cut out or doubled, or with a piece of `other` in it."""
    made = bytearray(data)
    for _ in range(dice.randint(1, 4)):
        at = dice.randint(0, len(made))
        match dice.randrange(5):
            case 0:
                made[at : at + 1] = bytes([dice.randrange(256)])
            case 1:
                del made[at : at + dice.randint(1, 16)]
            case 2:
                made[at:at] = made[at : at + dice.randint(1, 64)]
            case 3:
                begin = dice.randint(0, len(other))
                made[at:at] = other[begin : begin + dice.randint(1, 64)]
            case 4:
                made[at : at + 1] = dice.choice((b'"', b",", b";", b"=", b"\\", b"\n", b"\x00", b"\xff", b"9" * 20))
    return bytes(made[:16_384])


@pytest.mark.parametrize("target", targets.TARGETS)
@pytest.mark.spec("#untrusted-input")
def test_nothing_a_stranger_sends_ends_in_another_exception_or_takes_long(target: str) -> None:
    kept = corpus(target)
    for data in kept:
        targets.check(target, data)
    dice = random.Random(1)

    for _ in range(INPUTS // len(targets.TARGETS) - len(kept)):
        targets.check(target, mutated(dice.choice(kept), dice.choice(kept), dice))


def test_the_corpus_is_small_and_has_an_input_for_every_target() -> None:
    files = [path for path in seeds.CORPUS.rglob("*") if path.is_file()]

    assert {path.parent.name for path in files} == set(targets.TARGETS)
    assert sum(path.stat().st_size for path in files) < 2_000_000


def test_every_seed_is_an_input_of_a_target_that_exists() -> None:
    assert {target for target, _ in seeds.seeds()} == set(targets.TARGETS)


def test_an_input_that_takes_too_long_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(data: bytes) -> None:
        for _ in range(3_000_000):
            pass

    monkeypatch.setattr(targets, "TARGETS", {"slow": slow})
    monkeypatch.setattr(targets, "SECONDS_AT_LEAST", 0.001)

    with pytest.raises(targets.TooSlow, match="slow: 1 bytes took"):
        targets.check("slow", b"x")


def test_an_exception_that_is_no_aauth_error_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aauthlib.messages.bodies.decode", lambda cls, body: {}["missing"])

    with pytest.raises(KeyError):
        targets.check("bodies", b"{}")


def test_a_forgery_that_is_let_in_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aauthlib.keys.PublicKey.verify", lambda key, signature, data: True)
    unsigned_method = bytes([3, 5, 0, 6]) + b"DELETE"

    with pytest.raises(AssertionError, match="forgery"):
        targets.check("verification", unsigned_method)
