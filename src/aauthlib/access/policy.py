"""The interface of policies, and the one that is a Python callable."""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from types import ModuleType
from typing import Protocol, get_args

from ..errors import ConfigurationError
from .decisions import Decision, Demanded, Verdict
from .facts import Facts

__all__ = ["CallablePolicy", "Policy"]

_DECISIONS = tuple(kind for kind in (*get_args(Decision), *get_args(Demanded)) if isinstance(kind, type))
_MAX_VERSION_LENGTH = 80


class Policy(Protocol):
    """Decides token requests.

    It is asked again with every fact that an exchange teaches. A demand that was met already must not be made again:
    that is treated as a denial, since the exchange would never end.
    """

    @property
    def version(self) -> str:
        """Names what decides now, for the log."""

    async def decide(self, facts: Facts) -> Verdict:
        """Decide on these facts. When it raises, the request fails as `server_error`, with nothing granted."""


class CallablePolicy:
    """A policy that is a function, plain or asynchronous, from facts to a decision.

    It may return a `Verdict` to say by which rule it decided; otherwise the log names the function.
    """

    def __init__(
        self,
        decide: Callable[[Facts], Decision | Verdict | Awaitable[Decision | Verdict]],
        *,
        version: str = "callable",
    ) -> None:
        self._decide, self._version = decide, version

    @property
    def version(self) -> str:
        return self._version

    async def decide(self, facts: Facts) -> Verdict:
        name = getattr(self._decide, "__name__", "callable")
        said = self._decide(facts)
        if inspect.isawaitable(said):
            said = await said
        verdict = said if isinstance(said, Verdict) else Verdict(said)
        if not isinstance(verdict.decision, _DECISIONS):
            raise TypeError(f"{name} returned {type(verdict.decision).__name__}, which is no decision.")
        return replace(verdict, rule=verdict.rule or name, version=self._version)

    @classmethod
    def read(cls, text: str) -> CallablePolicy:
        """The function `decide` of a Python file, which is run. It may name its `version`.

        Raises `ConfigurationError` when it cannot be run, or has no such function.
        """
        digest = hashlib.sha256(text.encode()).hexdigest()[:12]
        module = ModuleType(f"aauthlib_policy_{digest}")
        # Where classes of the file look for the names in their annotations.
        sys.modules[module.__name__] = module
        try:
            exec(compile(text, "the policy file", "exec"), module.__dict__)
        except (Exception, SystemExit) as error:
            raise ConfigurationError(f"The policy cannot be run: {type(error).__name__}: {error}.") from error
        decide, version = module.__dict__.get("decide"), module.__dict__.get("version", "")
        if not callable(decide):
            raise ConfigurationError("The policy has no function decide(facts).")
        if not isinstance(version, str) or len(version) > _MAX_VERSION_LENGTH:
            raise ConfigurationError(f"The policy's version is a string of at most {_MAX_VERSION_LENGTH} characters.")
        return cls(decide, version=f"{version}+{digest}" if version else digest)
