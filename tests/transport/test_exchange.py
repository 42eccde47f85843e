"""Reading a response within bounds."""

from __future__ import annotations

import gzip
import tracemalloc

import pytest

from aauthlib.discovery import TransportError
from aauthlib.effects import Send
from aauthlib.http import Request
from aauthlib.transport.exchange import BodyReader


@pytest.mark.spec("signature-key#7.3")
def test_a_decompression_bomb_is_never_unpacked() -> None:
    bomb = gzip.compress(bytes(50_000_000))
    effect = Send(Request("GET", "https://a.example/"), max_body_bytes=100_000)
    reader = BodyReader(effect, 200, [(b"Content-Encoding", b"gzip")])
    tracemalloc.start()
    try:
        with pytest.raises(TransportError, match="larger"):
            reader.feed(bomb)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 1_000_000
