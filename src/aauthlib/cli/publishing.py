"""`aauth publish`: the files of an agent that publishes itself, how to get them to where they belong, and a check.

The documents are `provider.selfpublished`'s. What a kind of host wants beside them stands in `_HOSTS`.
"""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..agent import Identity, KeyringKeystore
from ..agent.key_rotation import key_set
from ..errors import ConfigurationError
from ..keys import SigningKey
from ..provider.selfpublished import Published, check_published, publish
from ..tokens import AGENT_DWK
from ..transport import Wire
from .calling import find_identity
from .exits import Exit
from .screen import Screen, safe

__all__ = ["PUBLISH_DIRECTORY", "Shown", "check_copy", "publish_identity", "tell_copy", "write_copy"]

PUBLISH_DIRECTORY = Path("aauth-publish")
_MAX_DOCUMENT_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Shown:
    """What people may be shown of the agent; `None` leaves what the published document says already."""

    name: str | None = None
    description: str | None = None
    logo_uri: str | None = None


def publish_identity(
    screen: Screen, name: str, *, out: Path, host: str | None, shown: Shown, offline: bool, dev: bool
) -> int:
    """Write the files, say how to upload them, and look at what is published already.

    Returns `Exit.OK` also when the files are not up yet. Raises `ConfigurationError` when the agent has a provider of
    its own, or for a kind of host there is no help for.
    """
    identity, key, _ = find_identity(name)
    if identity.mode != "self-issued":
        raise ConfigurationError(
            f"{identity.agent} is enrolled at {identity.issuer}, which publishes for it. There is nothing to upload."
        )
    if host is not None and host not in _HOSTS:
        raise ConfigurationError(f"--for is one of {', '.join(_HOSTS)}.")
    files = write_copy(name, identity, out, shown)
    steps: list[str] = []
    if host is not None:
        extra, steps = _HOSTS[host](identity.issuer, out)
        files += extra
    copy = None if offline else check_copy(identity, key, dev=dev)
    if screen.json_output:
        screen.document(
            {
                "agent": identity.agent,
                "files": [str(file) for file in files],
                "steps": steps,
                "published": None if copy is None else {"problems": copy.problems, "notes": copy.notes},
            }
        )
        return Exit.OK
    screen.say(f"The files of [bold]{safe(identity.agent)}[/], to be found under {safe(identity.issuer)}/:")
    for file in files:
        screen.say(f"  {safe(str(file))}")
    for number, step in enumerate(steps, 1):
        screen.say(f"{number}. {safe(step)}")
    if copy is not None:
        tell_copy(screen, copy)
    return Exit.OK


def write_copy(name: str, identity: Identity, out: Path, shown: Shown = Shown()) -> list[Path]:
    """Write the metadata and the key set with every key that others need now below `out`; returns their paths.

    What `out` has of a name, a description and so on is kept. Raises `ConfigurationError`.
    """
    _, _, keystore = find_identity(name)
    before = _before(out, identity.issuer)
    document, keys = publish(
        out,
        identity.issuer,
        key_set(name, now=time.time(), keystore=keystore if isinstance(keystore, KeyringKeystore) else None),
        name=shown.name if shown.name is not None else before.get("name"),
        description=shown.description if shown.description is not None else before.get("description"),
        logo_uri=shown.logo_uri if shown.logo_uri is not None else before.get("logo_uri"),
        callback_endpoint=before.get("callback_endpoint"),
        localhost_callback_allowed=before.get("localhost_callback_allowed", True),
        dev=identity.dev,
    )
    return [document, keys]


def check_copy(identity: Identity, key: SigningKey, *, dev: bool) -> Published:
    """Look at what the world sees of it, for this key."""
    with Wire.open(dev=dev or identity.dev) as wire:
        return wire.run(check_published(identity.issuer, key, dev=dev or identity.dev))


def tell_copy(screen: Screen, copy: Published) -> None:
    """Say what was found."""
    for problem in copy.problems:
        screen.say(f"[yellow]Not there yet:[/] {safe(problem)}")
    for note in copy.notes:
        screen.say(f"[dim]Note: {safe(note)}[/]")
    if copy.ok:
        screen.say("[green]✓[/] What is published is right.")


def _before(out: Path, issuer: str) -> dict[str, Any]:
    """The metadata that were written there before, if they are this agent's."""
    path = out / ".well-known" / AGENT_DWK
    try:
        content = path.read_bytes()[: _MAX_DOCUMENT_BYTES + 1]
    except FileNotFoundError:
        return {}
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict) or document.get("issuer") != issuer:
        raise ConfigurationError(
            f"{path} is not the metadata of {issuer}, so it is not written over. Choose another --out, or remove it."
        )
    return document


# ---------------------------------------------------------------- hosts

_Help = Callable[[str, Path], tuple[list[Path], list[str]]]


def _github_pages(issuer: str, out: Path) -> tuple[list[Path], list[str]]:
    host = urlsplit(issuer).hostname or ""
    empty = out / ".nojekyll"
    # Without it, the pages leave out every name that begins with a dot.
    empty.write_bytes(b"")
    files = [empty]
    if host.endswith(".github.io"):
        where = f"the repository {host}, the only one whose pages are the root of https://{host}"
    else:
        domain = out / "CNAME"
        domain.write_text(host + "\n", encoding="utf-8")
        files.append(domain)
        where = f"a repository whose pages have the custom domain {host} (Settings, Pages; enforce HTTPS)"
    return files, [
        f"Copy everything in {out}, names that begin with a dot too, to the branch that is published, of {where}.",
        "Commit, push, wait a minute, and run `aauth publish` again to see whether it is there.",
    ]


def _s3(issuer: str, out: Path) -> tuple[list[Path], list[str]]:
    bucket = "s3://YOUR-BUCKET"
    source = shlex.quote(str(out))
    return [], [
        f"aws s3 cp --recursive {source} {bucket} --exclude '*' --include '.well-known/*' "
        "--content-type application/json --cache-control max-age=300",
        f"Serve the bucket over HTTPS at {issuer}, for instance by a CloudFront distribution with this alias, "
        "without a redirect for these paths.",
    ]


def _nginx(issuer: str, out: Path) -> tuple[list[Path], list[str]]:
    root = str(out.resolve())
    if any(character in root for character in '"\\$\n\r'):
        raise ConfigurationError(f'{root} has characters that nginx takes for its own (" \\ $). Choose another --out.')
    snippet = out / "nginx.conf"
    snippet.write_text(
        f"# In the server block of {urlsplit(issuer).hostname}.\n"
        "location ^~ /.well-known/ {\n"
        f'    root "{root}";\n'
        "    types { application/json json; }\n"
        '    add_header Cache-Control "max-age=300";\n'
        "    try_files $uri =404;\n"
        "}\n",
        encoding="utf-8",
    )
    return [snippet], [
        f"Include {snippet.resolve()} in the server block of {urlsplit(issuer).hostname}, above rules that redirect.",
        "nginx -t && nginx -s reload",
    ]


_HOSTS: dict[str, _Help] = {"github-pages": _github_pages, "s3": _s3, "nginx": _nginx}
