"""What a server asks of the system it runs on."""

from __future__ import annotations

import resource

from aauthlib.cli.serving import allow_connections


def test_a_server_takes_as_many_connections_as_the_operator_lets_it() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 256), hard))
        allow_connections()
        now, still = resource.getrlimit(resource.RLIMIT_NOFILE)
        assert still == hard
        assert now == hard or (hard == resource.RLIM_INFINITY and now > 10_000)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
