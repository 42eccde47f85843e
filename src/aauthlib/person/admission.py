"""Where a person may be sent (#resource-initiated-interaction, #interaction-endpoint).

Whoever names a URL for a person's browser is a stranger. What this server would not call itself, such as an address of
the network it or the person sits in, it sends nobody to either.
"""

from __future__ import annotations

from ..discovery import EgressRefused, TransportError
from ..effects import Admit, Flow
from ..errors import ProblemError, TemporarilyUnavailable
from .core import PersonServerCore

__all__ = ["admit"]


async def admit(server: PersonServerCore, url: str, refusal: type[ProblemError]) -> None:
    """Apply this server's egress admission to `url`; its form was checked. Raises `refusal`.

    Where the host cannot be resolved now, `TemporarilyUnavailable`: nothing is known against it.
    """
    try:
        await server.run(_admission(url))
    except EgressRefused as error:
        raise refusal(f"No person is sent to the interaction URL. {error.detail}") from error
    except TransportError as error:
        raise TemporarilyUnavailable("The interaction URL cannot be checked now.", retry_after_s=5) from error


def _admission(url: str) -> Flow[None]:
    yield Admit(url)
