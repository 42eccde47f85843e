"""One OpenID Connect provider, as its client: discovery, the code for tokens, and what an ID token must say.

OpenID Connect Core 1.0 (Sections 3.1.2, 3.1.3), Discovery 1.0, RFC 7636 (PKCE), RFC 9207 (issuer in the answer). What
is fetched goes through the server's own wire, under its egress admission. Knows no page, no account and no store.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus, urlencode

import msgspec
from authlib.common.urls import add_params_to_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from ..accounts.guessing import SignInRefused
from ..effects import Clock, Flow, Send
from ..errors import AAuthError, InvalidIdentifier
from ..http import Fields, Request, Response
from ..identifiers import https_url
from .faces import FlowRunner
from .organisation_settings import ProviderSettings

__all__ = ["Provider", "ProviderUnavailable", "Vouched"]

_CONFIGURATION_KEPT_S = 3600.0
_KEYS_KEPT_S = 3600.0
#: A key that is not there is looked for at most this often: anybody can send a browser with a made-up `kid`.
_KEYS_AGAIN_S = 60.0
_SKEW_S = 60
_TIMEOUT_S = 8.0
_MAX_BODY_BYTES = 262_144
_MAX_TOKEN = 32_768
_SUB = re.compile(r"[\x20-\x7e]{1,255}\Z")


class ProviderUnavailable(AAuthError):
    """The organisation's provider cannot be used now; the text says why."""


@dataclass(frozen=True, slots=True)
class Vouched:
    """What the provider says of somebody, verified. `(iss, sub)` names them; all else is description."""

    iss: str
    sub: str
    authenticated_at: float
    """When they proved who they are there, Unix seconds; 0 when the provider does not say."""
    email: str | None = None
    email_verified: bool = False
    name: str | None = None
    username: str | None = None


class _Configuration(msgspec.Struct, frozen=True):
    """The members of the discovery document that are used."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    token_endpoint_auth_methods_supported: list[str] | None = None
    authorization_response_iss_parameter_supported: bool = False


class Provider:
    """The client of one provider at one redirect URI. `secret` is the client's, `None` for a public client."""

    def __init__(
        self,
        settings: ProviderSettings,
        *,
        redirect_uri: str,
        secret: str | None,
        wire: FlowRunner,
        clock: Clock,
        dev: bool = False,
    ) -> None:
        self.settings, self.redirect_uri, self._secret = settings, redirect_uri, secret
        self._wire, self._clock, self._dev = wire, clock, dev
        self._configuration: tuple[float, _Configuration] | None = None
        self._keys: tuple[float, KeySet] | None = None

    async def authorization_url(
        self, *, state: str, nonce: str, verifier: str, fresh: bool, login_hint: str | None = None
    ) -> str:
        """Where the browser goes. `fresh` asks for a sign-in now, whatever session there is. Raises
        `ProviderUnavailable`."""
        configuration = await self._discover()
        parameters = {
            "response_type": "code",
            "client_id": self.settings.client_id,
            "redirect_uri": self.redirect_uri,
            "scope": " ".join(self.settings.scopes),
            "state": state,
            "nonce": nonce,
            "code_challenge": create_s256_code_challenge(verifier),
            "code_challenge_method": "S256",
            **({"prompt": "login", "max_age": "0"} if fresh else {}),
            **({"login_hint": login_hint} if login_hint else {}),
        }
        url: str = add_params_to_uri(configuration.authorization_endpoint, list(parameters.items()))
        return url

    async def check_issuer(self, iss: str | None) -> None:
        """Whether the answer in the browser comes from this provider (RFC 9207). Raises `SignInRefused`."""
        required = (await self._discover()).authorization_response_iss_parameter_supported
        if iss != self.settings.issuer and (iss is not None or required):
            raise SignInRefused("The answer came from another provider than the one that was asked.")

    async def redeem(self, code: str, *, nonce: str, verifier: str, fresh_since: float | None) -> Vouched:
        """Exchange the code and verify the ID token. With `fresh_since` the sign-in must not be older than that.

        Raises `SignInRefused` or `ProviderUnavailable`.
        """
        configuration = await self._discover()
        response = await self._send(self._token_request(configuration, code, verifier))
        answer = _object(response)
        if response.status != 200 or not isinstance(answer.get("id_token"), str):
            raise SignInRefused("The provider did not confirm the sign-in. Try again.")
        return await self._verify(answer["id_token"], nonce=nonce, fresh_since=fresh_since)

    def _token_request(self, configuration: _Configuration, code: str, verifier: str) -> Request:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri,
            "code_verifier": verifier,
        }
        headers = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
        methods = configuration.token_endpoint_auth_methods_supported or ["client_secret_basic"]
        if self._secret is not None and "client_secret_basic" in methods:
            pair = f"{quote_plus(self.settings.client_id)}:{quote_plus(self._secret)}"
            headers["authorization"] = "Basic " + base64.b64encode(pair.encode()).decode("ascii")
        else:
            form["client_id"] = self.settings.client_id
            if self._secret is not None:
                form["client_secret"] = self._secret
        return Request("POST", configuration.token_endpoint, Fields(headers), urlencode(form).encode("ascii"))

    # ------------------------------------------------------------------ the ID token

    async def _verify(self, text: str, *, nonce: str, fresh_since: float | None) -> Vouched:
        """OpenID Connect Core 1.0, Section 3.1.3.7, in its order. Raises `SignInRefused`."""
        refused = SignInRefused("The provider's answer could not be verified. Try again.")
        if len(text) > _MAX_TOKEN:
            raise refused
        # Steps 1, 6 to 8: the signature, by a key of the provider and an algorithm that was agreed.
        token = await self._signed(text, refused)
        # Steps 2 to 5, 9 to 11: issuer, audience, authorised party, times, nonce.
        settings = self.settings
        claims = CodeIDToken(
            token.claims,
            token.header,
            options={
                "iss": {"essential": True, "value": settings.issuer},
                "aud": {"essential": True, "value": settings.client_id},
                "sub": {"essential": True},
                "exp": {"essential": True},
                "iat": {"essential": True},
                "nonce": {"essential": True, "value": nonce},
            },
            params={"nonce": nonce, "client_id": settings.client_id},
        )
        try:
            claims.validate(now=int(self._clock()), leeway=_SKEW_S)
        except (JoseError, ValueError, TypeError, AttributeError) as error:
            raise refused from error
        sub = claims["sub"]
        if not isinstance(sub, str) or not _SUB.match(sub):
            raise refused
        # Step 13: when they signed in there.
        at = claims.get("auth_time")
        authenticated_at = min(float(at), self._clock()) if isinstance(at, int | float) else 0.0
        if fresh_since is not None and authenticated_at < fresh_since - _SKEW_S:
            raise SignInRefused("The provider did not ask you to sign in anew. Try again, or sign in another way.")
        return Vouched(
            iss=settings.issuer,
            sub=sub,
            authenticated_at=authenticated_at,
            email=_text(claims, "email", 254),
            email_verified=claims.get("email_verified") is True,
            name=_text(claims, "name", 100),
            username=_text(claims, "preferred_username", 254),
        )

    async def _signed(self, text: str, refused: SignInRefused) -> jwt.Token:
        for again in (False, True):
            keys = await self._key_set(again=again)
            try:
                return jwt.decode(text, keys, algorithms=list(self.settings.algorithms))
            except (JoseError, ValueError, TypeError, KeyError, RecursionError) as error:
                # A key that is not there may be new; anything else will be no better a second time.
                if again or not isinstance(error, ValueError | KeyError | JoseError):
                    raise refused from error
        raise refused

    # ------------------------------------------------------------------ documents

    async def _discover(self) -> _Configuration:
        now = self._clock()
        if self._configuration is not None and now - self._configuration[0] < _CONFIGURATION_KEPT_S:
            return self._configuration[1]
        url = self.settings.issuer.rstrip("/") + "/.well-known/openid-configuration"
        document = _object(await self._get(url))
        try:
            configuration = msgspec.convert(document, _Configuration)
            for each in (configuration.authorization_endpoint, configuration.token_endpoint, configuration.jwks_uri):
                https_url(each, dev=self._dev)
        except (msgspec.ValidationError, InvalidIdentifier) as error:
            raise ProviderUnavailable("The organisation's provider publishes something that cannot be used.") from error
        if configuration.issuer != self.settings.issuer:
            raise ProviderUnavailable("The organisation's provider says that it is another one.")
        self._configuration = (now, configuration)
        return configuration

    async def _key_set(self, *, again: bool) -> KeySet:
        now = self._clock()
        if self._keys is not None and now - self._keys[0] < (_KEYS_AGAIN_S if again else _KEYS_KEPT_S):
            return self._keys[1]
        document = _object(await self._get((await self._discover()).jwks_uri))
        keys = document.get("keys")
        usable = [
            key
            for key in (keys if isinstance(keys, list) else [])
            if isinstance(key, dict) and key.get("kty") != "oct" and key.get("use", "sig") == "sig"
        ]
        try:
            found = KeySet.import_key_set({"keys": usable})
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise ProviderUnavailable("The organisation's provider publishes keys that cannot be used.") from error
        self._keys = (now, found)
        return found

    async def _get(self, url: str) -> Response:
        response = await self._send(Request("GET", url, Fields({"accept": "application/json"})))
        if response.status != 200:
            raise ProviderUnavailable("The organisation's provider does not answer as it should.")
        return response

    async def _send(self, request: Request) -> Response:
        try:
            return await self._wire.run(_sent(request))
        except AAuthError as error:
            raise ProviderUnavailable("The organisation's provider cannot be reached.") from error


def _sent(request: Request) -> Flow[Response]:
    response: Response = yield Send(request, timeout_s=_TIMEOUT_S, max_body_bytes=_MAX_BODY_BYTES)
    return response


def _object(response: Response) -> Mapping[str, Any]:
    try:
        document = msgspec.json.decode(response.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProviderUnavailable("The organisation's provider does not answer as it should.") from error
    if not isinstance(document, dict):
        raise ProviderUnavailable("The organisation's provider does not answer as it should.")
    return document


def _text(claims: Mapping[str, Any], name: str, length: int) -> str | None:
    value = claims.get(name)
    return value[:length] if isinstance(value, str) and value.strip() and "\0" not in value else None
