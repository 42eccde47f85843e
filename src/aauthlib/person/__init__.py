"""The person server: whom agents act for, what a person allowed, and the tokens that say so (#person-server).

`server.PersonServer` is the role, `storage.PersonStore` what it needs kept; who may sign in is in `aauthlib.accounts`.
Knows no HTTP framework and no database.
"""
