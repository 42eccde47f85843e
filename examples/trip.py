"""An agent that plans a trip in a mission: its person says what it is about, follows what is done, and ends it.

aauth init --provider https://agents.example --ps https://person.example
python examples/trip.py https://calendar.example
"""

import sys

from aauthlib import Agent, Denied


def main(calendar: str) -> None:
    """Look for a free week, ask before anything is sent, and say when it is done."""
    with Agent.load() as agent:
        try:
            mission = agent.missions.propose(
                "# Plan a trip\n\nFind a free week in May and propose it to the travel office.",
                tools=["Search"],
                resources=[calendar],
            )
        except Denied:
            print("You would rather plan it yourself.")
            return
        with mission:
            print(mission.terms.description)
            events = mission.get(f"{calendar}/events").json()
            mission.audit("Search", parameters={"month": "May"}, result={"events": len(events)})
            answer = mission.permission(
                "SendEmail",
                description="Propose the **second week of May** to the travel office.",
                parameters={"to": "travel@example.com"},
            )
            print("It may be sent." if answer else f"It may not be sent: {answer.reason}")
            mission.complete("The second week of May is free.")


if __name__ == "__main__":
    main(sys.argv[1])
