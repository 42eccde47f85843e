"""Telling people that something waits for them: where and when, by which channels, from an outbox (#approval-pending).

Below the roles. What a message says is a role's own words; who is told, and of what, stands in the outbox, which is
written with what it is about (`store.notifications`).
"""

from .channels import AppriseChannel, Channel, NotDelivered, read_channels
from .notifier import NOTIFY_EVERY_S, Message, NotificationStore, Notifier, Teller

__all__ = [
    "NOTIFY_EVERY_S",
    "AppriseChannel",
    "Channel",
    "Message",
    "NotDelivered",
    "NotificationStore",
    "Notifier",
    "Teller",
    "read_channels",
]
