"""Deferred responses (#deferred-responses): `202 Accepted`, `Location`, `Prefer: wait`, for both sides.

`machine` is the state machine as tables, `pending` the server side, `polling` the client side.
"""
