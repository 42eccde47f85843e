"""What others publish of themselves, cut to what a page can show (#consent-presentation, #untrusted-input)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from aauthlib.effects import FindMetadata, Flow
from aauthlib.errors import UnknownKey
from aauthlib.messages.metadata import ResourceMetadata
from aauthlib.person import faces
from aauthlib.person.faces import Faces, cut, resource_face, scope_line, short

AP = "https://ap.example"


class Source:
    """Answers every lookup with one document, or fails, or hangs."""

    def __init__(self, answer: Mapping[str, Any] | Exception | None) -> None:
        self.answer = answer

    async def run(self, flow: Flow[Any]) -> Any:
        effect = next(flow)
        assert isinstance(effect, FindMetadata)
        if self.answer is None:
            await asyncio.Event().wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        try:
            flow.send(self.answer)
        except StopIteration as end:
            return end.value


@pytest.mark.parametrize(
    "answer",
    [
        UnknownKey("unreachable"),
        {},
        {"issuer": "https://other.example"},
        {"issuer": AP, "callback_endpoint": "http://ap.example/cb"},
    ],
)
async def test_a_provider_that_cannot_be_read_is_simply_not_known(answer: Any) -> None:
    assert await Faces(Source(answer), dev=False).provider(AP) is None


async def test_a_provider_that_never_answers_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faces, "_LOOKUP_S", 0.01)
    assert await asyncio.wait_for(Faces(Source(None), dev=False).provider(AP), 5) is None


async def test_a_logo_that_is_not_https_is_left_out() -> None:
    document = {"issuer": AP, "jwks_uri": AP + "/jwks.json", "name": "N", "logo_uri": "javascript:alert(1)"}
    provider = await Faces(Source(document), dev=False).provider(AP)
    assert provider is not None
    assert (provider.name, provider.logo_uri) == ("N", None)


@pytest.mark.spec("#untrusted-input")
def test_names_are_one_short_printable_line() -> None:
    assert short("  Two\n lines\u202e \u0000 ") == "Two lines"
    assert short("\u200b\u202e") is None
    assert short(None) is None
    assert len(short("x" * 5000) or "") == 120


def test_long_texts_are_cut_visibly() -> None:
    assert cut("abc", 3) == "abc"
    assert cut("abcd", 3) == "ab…"
    assert cut(None, 3) is None


@pytest.mark.spec("#consent-presentation", "#scopes")
def test_a_resource_cannot_describe_what_an_identity_scope_releases() -> None:
    metadata = ResourceMetadata(issuer=AP, scope_descriptions={"email": "Nothing at all", "read": "Read"})
    assert scope_line("email", metadata, already_granted=False).description_markdown != "Nothing at all"
    assert scope_line("read", metadata, already_granted=True).description_markdown == "Read"
    assert scope_line("other", metadata, already_granted=False).description_markdown is None
    assert scope_line("read", None, already_granted=False).description_markdown is None


def test_a_resource_without_metadata_is_shown_by_its_identifier() -> None:
    face = resource_face(AP, None, is_new=True)
    assert (face.issuer, face.reachable, face.name) == (AP, False, None)
