"""The agent: an HTTP client that proves who it is on every request and is authorised by its person.

`Agent` and `AsyncAgent` are what applications use, `AAuth` is the adapter for an `httpx2` client of their own. All of
them run one sans-I/O challenge loop, `exchange`.
"""

from ..messages.missions import Tool
from .async_client import AsyncAgent
from .auth import AAuth
from .client import Agent
from .context import AgentContext, AgentTokenSource, GrantPreferences, OpenRequests
from .credentials import Credential, Credentials
from .errors import AgentError, ChallengeInvalid, ChallengeUnmet, EnrolmentFailed, NoProgress, RequestRefused
from .identity import Identity, identities, load_identity, save_identity, source_of
from .interaction import OpenBrowser, PrintURL
from .keystore import FileKeystore, KeyringKeystore, Keystore, aauth_home
from .loop import exchange
from .mission_clients import AsyncMission, AsyncMissions, Mission, Missions
from .missions import ApprovedMission, MissionUpdate, Permission
from .pending import PendingRequest
from .provider_client import Enrolled, SelfIssued, enroll

__all__ = [
    "AAuth",
    "Agent",
    "AgentContext",
    "AgentError",
    "AgentTokenSource",
    "ApprovedMission",
    "AsyncAgent",
    "AsyncMission",
    "AsyncMissions",
    "ChallengeInvalid",
    "ChallengeUnmet",
    "Credential",
    "Credentials",
    "Enrolled",
    "EnrolmentFailed",
    "FileKeystore",
    "GrantPreferences",
    "Identity",
    "KeyringKeystore",
    "Keystore",
    "Mission",
    "MissionUpdate",
    "Missions",
    "NoProgress",
    "OpenBrowser",
    "OpenRequests",
    "PendingRequest",
    "Permission",
    "PrintURL",
    "RequestRefused",
    "SelfIssued",
    "Tool",
    "aauth_home",
    "enroll",
    "exchange",
    "identities",
    "load_identity",
    "save_identity",
    "source_of",
]
