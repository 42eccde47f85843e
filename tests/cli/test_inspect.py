"""`aauth inspect`: what it says of good and bad tokens, requests and input that is neither."""

from __future__ import annotations

import json
import time

import pytest
from typer.testing import CliRunner

from aauthlib.cli.app import app
from aauthlib.cli.exits import Exit
from aauthlib.http import Request
from aauthlib.httpsig import HWK, sign
from aauthlib.keys import SigningKey
from aauthlib.tokens import issue_agent_token

KEY = SigningKey.generate()


def _agent_token(**changes):
    options = {
        "iss": "https://agent.example",
        "sub": "aauth:helper@agent.example",
        "cnf": KEY.public,
        "jti": "j1",
        "now": time.time(),
    }
    return issue_agent_token(KEY, **{**options, **changes})


def _inspect(*arguments: str, stdin: str | None = None):
    result = CliRunner().invoke(app, ["inspect", "--json", *arguments], input=stdin)
    return result.exit_code, json.loads(result.stdout)


def test_a_good_token_offline_keeps_every_rule():
    code, document = _inspect("--offline", _agent_token())
    assert code == Exit.OK
    assert document["valid"] is True and document["kind"] == "aa-agent+jwt"
    assert document["content"]["sub"] == "aauth:helper@agent.example"


@pytest.mark.spec("#common-verification")
def test_an_expired_token_is_found_out_and_named():
    code, document = _inspect("--offline", _agent_token(now=time.time() - 7200, lifetime_s=60))
    assert code == Exit.INVALID
    assert any(not f["holds"] and "expired" in f["detail"] for f in document["findings"])


def test_a_token_on_standard_input_is_read():
    code, _ = _inspect("--offline", "-", stdin=_agent_token() + "\n")
    assert code == Exit.OK


@pytest.mark.spec("#agent-identifiers")
def test_a_token_that_names_another_providers_agent_is_found_out():
    code, document = _inspect("--offline", _agent_token(sub="aauth:helper@other.example"))
    assert code == Exit.INVALID
    assert any("another agent provider" in f["detail"] for f in document["findings"])


@pytest.mark.spec("#covered-components")
def test_a_captured_request_is_verified_as_of_when_it_was_signed(tmp_path):
    created = int(time.time()) - 86_400
    signed = sign(Request("GET", "https://api.example/x?y=1"), KEY, HWK.of(KEY.public), created=created)
    text = "GET /x?y=1 HTTP/1.1\nHost: api.example\n" + "\n".join(f"{n}: {v}" for n, v in signed.headers) + "\n\n"
    file = tmp_path / "request.txt"
    file.write_text(text)
    code, document = _inspect("--offline", str(file))
    assert code == Exit.OK, document
    file.write_text(text.replace("GET /x?y=1", "GET /z?y=1"))
    code, document = _inspect("--offline", str(file))
    assert code == Exit.INVALID
    assert any("does not verify" in f["detail"] for f in document["findings"])


def test_what_is_neither_token_nor_url_nor_file_is_a_usage_error():
    result = CliRunner().invoke(app, ["inspect", "nothing-like-it"])
    assert result.exit_code == Exit.USAGE
    assert "neither a token" in result.stderr
