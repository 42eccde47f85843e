"""Carrying flows out: guarded HTTP clients and the drivers on top of them (HTTP Signature Keys, Section 7.3)."""

from .addresses import address_refusal
from .client import AsyncTransport, SyncTransport
from .drivers import AsyncSender, AsyncWire, Sender, Wire, admission, run, run_async
from .egress import AdmissionHook, EgressPolicy, Resolver, system_resolver

__all__ = [
    "AdmissionHook",
    "AsyncSender",
    "AsyncTransport",
    "AsyncWire",
    "EgressPolicy",
    "Resolver",
    "Sender",
    "SyncTransport",
    "Wire",
    "address_refusal",
    "admission",
    "run",
    "run_async",
    "system_resolver",
]
