"""Where a Valkey or Redis server is, read from a URL that holds its password."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote, urlsplit

from ..errors import ConfigurationError

__all__ = ["VALKEY_SCHEMES", "ValkeyAddress"]

#: By scheme: whether it goes over TLS.
VALKEY_SCHEMES = {"valkey": False, "valkeys": True, "redis": False, "rediss": True}

_FORM = "valkey://[user:password@]host[:port][/number], or valkeys:// for TLS; percent-encode what a URL cannot hold"


@dataclass(frozen=True, slots=True)
class ValkeyAddress:
    """Where a server is, and how it is spoken to. Printing it shows no password."""

    host: str
    port: int = 6379
    number: int = 0
    tls: bool = False
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    ca_file: str | None = None

    @classmethod
    def parse(cls, url: str) -> ValkeyAddress:
        """Read a URL. Raises `ConfigurationError`, which repeats nothing of it: any part may be a password."""
        try:
            parts = urlsplit(url)
            query = parse_qs(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
            ca_files = query.pop("ssl_ca_certs", [])
            number = parts.path.removeprefix("/")
            if query or len(ca_files) > 1 or parts.fragment or not parts.hostname:
                raise ValueError
            if number and not (number.isascii() and number.isdigit()):
                raise ValueError
            tls = VALKEY_SCHEMES[parts.scheme]
            return cls(
                host=parts.hostname,
                port=6379 if parts.port is None else parts.port,
                number=int(number or 0),
                tls=tls,
                username=unquote(parts.username) if parts.username else None,
                password=unquote(parts.password) if parts.password else None,
                ca_file=ca_files[0] if ca_files else None,
            )
        except (ValueError, KeyError):
            raise ConfigurationError(f"The URL of the Valkey server cannot be read. Its form is {_FORM}.") from None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'valkeys' if self.tls else 'valkey'}://{host}:{self.port}/{self.number}"
