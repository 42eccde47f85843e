"""The four AAuth tokens, one module each as the spec has one section each, over one JWT profile."""

from .agent import AGENT_DWK, AgentToken, issue_agent_token
from .auth import ACCESS_DWK, AuthToken, issue_auth_token
from .jkt import JKTDelegation, issue_jkt_jwt, verify_jkt_jwt
from .person import PERSON_DWK, PersonToken, issue_person_token
from .profile import MAX_LIFETIME_S, Token, TokenCache, VerificationPolicy, verify
from .resource import RESOURCE_DWK, Interaction, ResourceToken, issue_resource_token

__all__ = [
    "ACCESS_DWK",
    "AGENT_DWK",
    "MAX_LIFETIME_S",
    "PERSON_DWK",
    "RESOURCE_DWK",
    "AgentToken",
    "AuthToken",
    "Interaction",
    "JKTDelegation",
    "PersonToken",
    "ResourceToken",
    "Token",
    "TokenCache",
    "VerificationPolicy",
    "issue_agent_token",
    "issue_auth_token",
    "issue_jkt_jwt",
    "issue_person_token",
    "issue_resource_token",
    "verify",
    "verify_jkt_jwt",
]
