"""HTTP messages as plain values, as they stand on the wire.

`Request.url` is the absolute URL with the target exactly as sent or received: nothing here decodes, normalises or
re-encodes it, since the signature covers its bytes (#covered-components).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

__all__ = ["Fields", "Request", "Response", "json_response", "split_url"]


class Fields:
    """Header fields in order, names lowercased. Immutable; a name may occur several times."""

    __slots__ = ("_combined", "_pairs")

    def __init__(self, fields: Fields | Mapping[str, str] | Iterable[tuple[str, str]] = ()) -> None:
        #: The combined values by name, made when first asked for: verification looks several fields up.
        self._combined: dict[str, str] | None = None
        if isinstance(fields, Fields):
            self._pairs: tuple[tuple[str, str], ...] = fields._pairs
            return
        pairs = fields.items() if isinstance(fields, Mapping) else fields
        self._pairs = tuple([(name.lower(), value) for name, value in pairs])

    def get(self, name: str) -> str | None:
        """The combined value: each line stripped, joined by `, ` (RFC 9421, Section 2.1). `None` when absent."""
        return (self._combined or self._combine()).get(name)

    def _combine(self) -> dict[str, str]:
        combined = {name: value.strip(" \t") for name, value in self._pairs}
        if len(combined) != len(self._pairs):
            lines: dict[str, list[str]] = {}
            for name, value in self._pairs:
                lines.setdefault(name, []).append(value.strip(" \t"))
            combined = {name: ", ".join(values) for name, values in lines.items()}
        self._combined = combined
        return combined

    def get_all(self, name: str) -> list[str]:
        """Each line's value, unjoined."""
        return [value for field_name, value in self._pairs if field_name == name]

    def __contains__(self, name: object) -> bool:
        return name in (self._combined or self._combine())

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._pairs)

    def __len__(self) -> int:
        return len(self._pairs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Fields) and self._pairs == other._pairs

    def __hash__(self) -> int:
        return hash(self._pairs)

    def __repr__(self) -> str:
        # Values can be tokens: only the names are shown.
        return f"Fields({[name for name, _ in self._pairs]})"

    def with_(self, **fields: str | None) -> Fields:
        """A copy with fields set (`signature_key` names `Signature-Key`), or removed where the value is `None`."""
        named = {name.replace("_", "-").lower(): value for name, value in fields.items()}
        kept = [pair for pair in self._pairs if pair[0] not in named]
        kept.extend([(name, value) for name, value in named.items() if value is not None])
        return Fields(kept)

    def added(self, pairs: Iterable[tuple[str, str]]) -> Fields:
        """A copy with `pairs` appended."""
        return Fields((*self._pairs, *pairs))


def split_url(url: str) -> tuple[str, str, str]:
    """Scheme, authority and target of an absolute URL; the authority ends at the first `/` or `?`."""
    scheme, _, rest = url.partition("://")
    authority = rest.partition("/")[0]
    if "?" in authority:
        authority = authority.partition("?")[0]
    target = rest[len(authority) :]
    return scheme, authority, target if target.startswith("/") else "/" + target


@dataclass(frozen=True, slots=True)
class Request:
    """A request: method, absolute URL as sent, header fields, body."""

    method: str
    url: str
    headers: Fields = field(default_factory=Fields)
    body: bytes = field(default=b"", repr=False)
    streams: bool = False
    """Whether a body is still arriving, `body` being empty; whoever reads it verifies its `Content-Digest`."""

    @property
    def scheme(self) -> str:
        return split_url(self.url)[0]

    @property
    def authority(self) -> str:
        """Host and port as written in the URL."""
        return split_url(self.url)[1]

    @property
    def origin(self) -> str:
        scheme, authority, _ = split_url(self.url)
        return f"{scheme}://{authority}"

    @property
    def target(self) -> str:
        """Path and query as sent; `/` when the URL has no path."""
        return split_url(self.url)[2]

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> str | None:
        """What follows the first `?`, or `None` when there is none."""
        _, mark, query = self.target.partition("?")
        return query if mark else None

    def with_headers(self, **fields: str | None) -> Request:
        """A copy with header fields set or, where `None`, removed."""
        return Request(self.method, self.url, self.headers.with_(**fields), self.body, self.streams)


@dataclass(frozen=True, slots=True)
class Response:
    """A response: status, header fields, body."""

    status: int
    headers: Fields = field(default_factory=Fields)
    body: bytes = field(default=b"", repr=False)

    def json(self) -> Any:
        """The body as JSON; raises `ValueError` when it is not, or is nested too deeply to be read."""
        try:
            return msgspec.json.decode(self.body)
        except RecursionError as error:
            raise ValueError("The body is nested too deeply.") from error


def json_response(
    status: int,
    document: object,
    *,
    headers: Iterable[tuple[str, str]] = (),
    content_type: str = "application/json",
) -> Response:
    """A response with a JSON body that no cache keeps."""
    fields = [("content-type", content_type), ("cache-control", "no-store"), *headers]
    return Response(status, Fields(fields), msgspec.json.encode(document))
