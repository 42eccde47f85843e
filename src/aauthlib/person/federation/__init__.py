"""The person server's side of one token request at an access server, as flows (#ps-as-federation)."""

from .answers import Delivered, Ended, Expected, PaymentRequired, Question, Settlement, Unpaid, Waiting
from .exchange import Exchange

__all__ = [
    "Delivered",
    "Ended",
    "Exchange",
    "Expected",
    "PaymentRequired",
    "Question",
    "Settlement",
    "Unpaid",
    "Waiting",
]
