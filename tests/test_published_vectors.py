"""The vectors under vectors/: what the generator makes, and what our verifiers decide about the files as they stand."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from aauthlib.base64url import b64url_decode
from aauthlib.http import Fields, Request

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "scripts"))
made = importlib.import_module("vectors.__main__")
tokens = importlib.import_module("vectors.tokens")
requests = importlib.import_module("vectors.requests")

PARTIES = json.loads((ROOT / "vectors" / "parties.json").read_text())
TOKENS = json.loads((ROOT / "vectors" / "tokens.json").read_text())
REQUESTS = json.loads((ROOT / "vectors" / "requests.json").read_text())


def _fixed(vectors: list[dict[str, Any]]) -> dict[str, Any]:
    """By name, without what an ES256 signature makes random."""
    return {vector["name"]: vector for vector in vectors if "es256" not in vector["name"]}


def test_the_files_are_what_the_generator_makes() -> None:
    documents = made.documents()
    assert documents["parties.json"] == PARTIES
    assert _fixed(documents["tokens.json"]) == _fixed(TOKENS)
    assert _fixed(documents["requests.json"]) == _fixed(REQUESTS)


def test_every_name_is_used_once() -> None:
    for vectors in (TOKENS, REQUESTS):
        assert len({vector["name"] for vector in vectors}) == len(vectors) > 50


def test_every_vector_names_a_section_that_there_is() -> None:
    known = (ROOT / "docs" / "spec-sections.toml").read_text()
    sections = {vector["section"] for vector in (*TOKENS, *REQUESTS)}
    assert [section for section in sections if f'"{section}"' not in known] == []


@pytest.mark.spec("#verification", "#keying-material")
@pytest.mark.parametrize("vector", REQUESTS, ids=[vector["name"] for vector in REQUESTS])
def test_a_published_request(vector: dict[str, Any]) -> None:
    sent = vector["request"]
    request = Request(sent["method"], sent["url"], Fields(map(tuple, sent["headers"])), b64url_decode(sent["body"]))
    judged = requests.RequestVector(
        vector["name"],
        vector["section"],
        vector["says"],
        request,
        schemes=tuple(vector["verifier"]["schemes"]),
        components=tuple(vector["verifier"]["additional_components"]),
        received_at=vector["received_at"],
    )
    assert made.judge_request(judged) == vector["result"]


@pytest.mark.spec("#common-verification", "#common-claims")
@pytest.mark.parametrize("vector", TOKENS, ids=[vector["name"] for vector in TOKENS])
def test_a_published_token(vector: dict[str, Any]) -> None:
    judged = tokens.TokenVector("", vector["expected_typ"], "", "", vector["token"], None)
    assert made.judge_token(judged) == vector["result"].get("error")
