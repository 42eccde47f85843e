"""`python -m vectors` from `scripts/`: writes `vectors/*.json`, with what our own verifier makes of each."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from aauthlib.discovery import Directory
from aauthlib.errors import AAuthError, SignatureError, TokenExpired, TokenFromFuture, UnsupportedAlgorithm
from aauthlib.http import Response, json_response
from aauthlib.httpsig import SignaturePolicy
from aauthlib.tokens import AgentToken, AuthToken, PersonToken, ResourceToken, Token, VerificationPolicy, verify
from aauthlib.transport import Wire
from aauthlib.verification import Level, SchemeSupport, authenticate

from .parties import NOW, parties
from .requests import RequestVector, request_vectors
from .tokens import TokenVector, token_vectors

__all__ = ["documents", "judge_request", "judge_token"]

OUT = Path(__file__).parents[2] / "vectors"
_TYPES: dict[str, type[Token]] = {cls.typ: cls for cls in (AgentToken, PersonToken, ResourceToken, AuthToken)}


class _Published:
    """The network: what the issuers publish, and nothing else."""

    def __init__(self) -> None:
        self._found: dict[str, Any] = {}
        for issuer in parties()["issuers"].values():
            self._found[issuer["metadata_url"]] = issuer["metadata"]
            self._found[issuer["metadata"]["jwks_uri"]] = issuer["jwks"]

    def send(self, effect: Any) -> Response:
        document = self._found.get(effect.request.url)
        return Response(404) if document is None else json_response(200, document)


def _wire() -> Wire:
    return Wire(_Published(), Directory(clock=lambda: NOW))


def judge_token(vector: TokenVector) -> str | None:
    """What our verifier says of a token: `None` when it is good."""
    try:
        _wire().run(verify(vector.token, _TYPES[vector.typ], now=NOW, policy=VerificationPolicy()))
    except TokenExpired:
        return "expired"
    except TokenFromFuture:
        return "from_future"
    except (AAuthError, UnsupportedAlgorithm):
        return "invalid"
    return None


def judge_request(vector: RequestVector) -> dict[str, Any]:
    """What our verifier says of a request."""
    flow = authenticate(
        vector.request,
        now=vector.received_at,
        signature=SignaturePolicy(schemes=vector.schemes, components=vector.components),
        tokens=VerificationPolicy(),
        accepted=(AgentToken, PersonToken, AuthToken),
        support=SchemeSupport(),
    )
    try:
        caller = _wire().run(flow)
    except SignatureError as error:
        return {"signature_error": error.code}
    if caller.level is Level.ANONYMOUS:
        return {"level": "anonymous"}
    assert caller.key is not None
    assert caller.signed is not None
    return {
        "level": caller.level.name.lower(),
        "key_thumbprint": caller.key.thumbprint,
        "signature_base": caller.signed.base().decode(),
    }


def documents() -> dict[str, Any]:
    """File name to its document. Raises `AssertionError` where our verifier says other than the vector."""
    found: dict[str, Any] = {"parties.json": parties(), "tokens.json": [], "requests.json": []}
    for token in token_vectors():
        said = judge_token(token)
        assert said == token.error, f"{token.name}: {said} instead of {token.error}"
        found["tokens.json"].append(token.document())
    for request in request_vectors():
        result = judge_request(request)
        expected = (request.error, request.level)
        actual = (result.get("signature_error"), result.get("level"))
        assert actual == expected, f"{request.name}: {actual} instead of {expected}"
        found["requests.json"].append(request.document(result))
    return found


def main() -> int:
    """Write them all."""
    OUT.mkdir(exist_ok=True)
    for name, document in documents().items():
        (OUT / name).write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
        print(f"wrote {name}: {len(document)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
