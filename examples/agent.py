"""An agent that reads a calendar, and writes to it only when the person agrees.

aauth init --provider https://agents.example --ps https://person.example
python examples/agent.py https://calendar.example
"""

import sys

from aauthlib import Agent, Denied


def main(calendar: str) -> None:
    """Read the events, then ask to add one."""
    with Agent.load() as agent:
        events = agent.get(f"{calendar}/events", justification="To find a free afternoon for you.")
        print(events.json())
        try:
            created = agent.post(
                f"{calendar}/events",
                json={"date": "2026-12-11", "title": "Free afternoon"},
                justification="To keep the afternoon free.",
            )
        except Denied:
            print("You would rather keep it as it is.")
        else:
            print(created.json())


if __name__ == "__main__":
    main(sys.argv[1])
