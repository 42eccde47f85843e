"""An agent in a process of its own: makes calls with the library and says, one JSON object a line, what happened.

    python -m tests.processes.agent_program URL [URL...] [--sub-agent NAME] [--mission DESCRIPTION]

`{"direct": ...}` when the person is needed; at the end of each call `{"status": ...}` or `{"error": ...}`, with every
token that was presented or received on the way. With a mission, which names the resources of the calls, the calls are
made in it, and its approval comes first: `{"s256": ...}`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time

from aauthlib.agent import Agent, load_identity, source_of
from aauthlib.deferred.polling import PollPolicy
from aauthlib.discovery import Directory
from aauthlib.effects import Direct, Send
from aauthlib.errors import AAuthError
from aauthlib.http import Response
from aauthlib.identifiers import origin_of
from aauthlib.messages.requirement import Requirement
from aauthlib.transport import SyncTransport, Wire


class Recorder:
    """A transport that remembers the exchanges."""

    def __init__(self) -> None:
        self._inner = SyncTransport(dev=True)
        self.exchanges: list[dict[str, object]] = []

    def send(self, effect: Send) -> Response:
        response = self._inner.send(effect)
        _, marker, rest = (effect.request.headers.get("signature-key") or "").partition('=jwt;jwt="')
        required = response.headers.get("aauth-requirement")
        self.exchanges.append(
            {
                "method": effect.request.method,
                "url": effect.request.url,
                "token": rest.partition('"')[0] if marker else None,
                "status": response.status,
                "resource_token": Requirement.parse(required).resource_token if required else None,
                "body": response.body.decode("utf-8", "replace"),
            }
        )
        return response

    def close(self) -> None:
        self._inner.close()


def say(**members: object) -> None:
    sys.stdout.write(json.dumps(members) + "\n")
    sys.stdout.flush()


def direct(needed: Direct) -> None:
    say(direct=needed.person_url, server=needed.server)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("urls", nargs="+")
    parser.add_argument("--sub-agent")
    parser.add_argument("--mission")
    options = parser.parse_args()
    identity, key = load_identity("default")
    recorder = Recorder()
    wire = Wire(recorder, Directory(clock=time.time, dev=True))
    agent = Agent(
        source_of(identity, key, clock=time.time),
        wire=wire,
        dev=True,
        on_interaction=direct,
        poll=PollPolicy(wait_s=20, deadline_s=90.0),
    )
    caller = agent.spawn(options.sub_agent) if options.sub_agent else agent
    if options.mission:
        resources = sorted({origin_of(url) for url in options.urls})
        caller = mission = agent.missions.propose(options.mission, tools=["search"], resources=resources)
        say(s256=mission.s256, exchanges=recorder.exchanges)
    for url in options.urls:
        recorder.exchanges.clear()
        try:
            response = caller.get(url)
            say(status=response.status_code, text=response.text, exchanges=recorder.exchanges)
        except AAuthError as error:
            name = getattr(error, "code", None) or type(error).__name__
            say(error=name, detail=error.detail, exchanges=recorder.exchanges)
    wire.close()


if __name__ == "__main__":
    main()
