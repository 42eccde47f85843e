"""`aauth keys`: the private keys of this machine's agents: where they are, and a new one in place of the old."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..agent import KeyringKeystore, aauth_home, identities
from ..agent.key_rotation import key_history, prepare_key, replace_key, use_next_key
from ..errors import ConfigurationError
from .calling import find_identity
from .exits import Exit
from .publishing import check_copy, tell_copy, write_copy
from .screen import Screen, safe

__all__ = ["list_agent_keys", "rotate_agent_key"]


def list_agent_keys(screen: Screen) -> int:
    """Every identity's key: its thumbprint, where it is kept, and what else is published. No key is shown."""
    rows: list[dict[str, Any]] = []
    for name in identities():
        try:
            identity, key, keystore = find_identity(name)
            history = key_history(name)
        except ConfigurationError as error:
            rows.append({"name": name, "problem": error.detail})
            screen.say(f"[bold]{safe(name)}[/]  [red]{safe(error.detail)}[/]")
            continue
        where = "keychain" if isinstance(keystore, KeyringKeystore) else "file"
        retired = [each.until for each in history.retired if each.until > time.time()]
        rows.append(
            {
                "name": name,
                "agent": identity.agent,
                "alg": key.alg,
                "thumbprint": key.thumbprint,
                "kept_in": where,
                **({"next_kid": history.next_kid} if history.next_kid else {}),
                **({"published_until": retired} if retired else {}),
            }
        )
        screen.say(f"[bold]{safe(name)}[/]  {safe(identity.agent)}")
        screen.say(f"  {key.alg} {key.thumbprint}, in {'the keychain' if where == 'keychain' else 'a file'}")
        if history.next_kid:
            screen.say(f"  next: {safe(history.next_kid)}. `aauth keys rotate` signs with it once it is published.")
        if retired:
            screen.say(f"  {len(retired)} of before stay published until {_when(max(retired))}.")
    if screen.json_output:
        screen.document(rows)
    elif not rows:
        screen.say(f"There is no identity in {safe(str(aauth_home()))}. Make one with [bold]aauth init[/].")
    return Exit.OK


def rotate_agent_key(screen: Screen, name: str, *, out: Path, leaked: bool, dev: bool) -> int:
    """A new key for an agent that publishes itself, in two runs: one publishes it, the next one signs with it.

    With `leaked`, at once, and no other key stays published. Raises `ConfigurationError` when the agent is enrolled.
    """
    identity, _, keystore = find_identity(name)
    store = keystore if isinstance(keystore, KeyringKeystore) else None
    if leaked:
        key = replace_key(name, keystore=store)
        files = write_copy(name, identity, out)
        _said(screen, "replaced", key.thumbprint, files)
        screen.say(f"[green]✓[/] {key.thumbprint} signs from now on. The old key is in no key set written here.")
        screen.say(
            f"[bold]Upload the files now:[/] until then nobody believes this agent, and whoever has the old key "
            f"is believed.\n  {safe(str(files[1]))}"
        )
        screen.say(
            "Then disconnect the agent at its person server, so that tokens of the old key end, and connect it anew."
        )
        return Exit.OK
    key = prepare_key(name, keystore=store)
    copy = check_copy(identity, key, dev=dev)
    if copy.ok:
        key, until = use_next_key(name, now=time.time(), keystore=store)
        files = write_copy(name, identity, out)
        _said(screen, "signs", key.thumbprint, files)
        screen.say(f"[green]✓[/] {key.thumbprint} is published, and signs from now on.")
        screen.say(
            f"The old key stays in the key set until {_when(until)}, when its last token is over. Then run "
            "[bold]aauth publish[/] and upload the files once more."
        )
        return Exit.OK
    files = write_copy(name, identity, out)
    _said(screen, "prepared", key.thumbprint, files)
    screen.say(f"The next key is {key.thumbprint}. The one in use goes on signing.")
    screen.say("Upload these files, which have both, and run [bold]aauth keys rotate[/] again:")
    for file in files:
        screen.say(f"  {safe(str(file))}")
    tell_copy(screen, copy)
    return Exit.OK


def _said(screen: Screen, state: str, thumbprint: str, files: list[Path]) -> None:
    if screen.json_output:
        screen.document({"state": state, "thumbprint": thumbprint, "files": [str(file) for file in files]})


def _when(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"
