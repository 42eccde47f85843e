"""What an agent asks its person server to do at the person's (#interaction-endpoint).

`interaction` and `payment` bring the person to somebody's page, `question` brings back an answer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

from ..errors import InvalidIdentifier, InvalidRequest
from .codes import is_interaction_code
from .missions import check_markdown, check_s256

__all__ = ["INTERACTION_TYPE", "MAX_WAIT_S", "PAYMENT_TYPE", "QUESTION_TYPE", "InteractionRequest"]

INTERACTION_TYPE: Literal["interaction"] = "interaction"
PAYMENT_TYPE: Literal["payment"] = "payment"
QUESTION_TYPE: Literal["question"] = "question"
#: The longest `max_wait` that is taken at its word, in seconds; a request ends earlier than that anyway.
MAX_WAIT_S = 86_400


class InteractionRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """#interaction-request. `capabilities` says, as at the token endpoints, whether the agent can send the person to a
    page itself; where it is absent nothing is known."""

    type: str
    description: str | None = None
    url: str | None = None
    code: str | None = None
    max_wait: int | None = None
    question: str | None = None
    mission_s256: str | None = None
    capabilities: list[str] | None = None

    def check(self, interaction_url: Callable[[str], str]) -> None:
        """The rules a type cannot say; `interaction_url` checks one. Raises `InvalidRequest`."""
        if self.description is not None:
            check_markdown(self.description, "description")
        if self.mission_s256 is not None:
            check_s256(self.mission_s256)
        if self.type == QUESTION_TYPE:
            check_markdown(self.question or "", "question")
            return
        if self.type not in (INTERACTION_TYPE, PAYMENT_TYPE):
            raise InvalidRequest("type must be interaction, payment or question.")
        if self.url is None or self.code is None:
            raise InvalidRequest(f"An {self.type} is relayed with its url and its code.")
        try:
            interaction_url(self.url)
        except InvalidIdentifier as error:
            raise InvalidRequest(error.detail) from error
        if not is_interaction_code(self.code):
            raise InvalidRequest("code has characters that no interaction code has.")
        if self.max_wait is not None and not 0 < self.max_wait <= MAX_WAIT_S:
            raise InvalidRequest(f"max_wait is a number of seconds from 1 to {MAX_WAIT_S}.")
