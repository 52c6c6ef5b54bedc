"""Connections: how to reach a system."""

from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, SecretStr, StringConstraints

from millrace.domain.base import Description, Model, Name, StableKey
from millrace.domain.resource import SecretHolder


class NoAuth(Model):
    """The system asks for no credential."""

    type: Literal["none"] = "none"


class BearerAuth(Model):
    """`Authorization: Bearer <token>`."""

    type: Literal["bearer"]
    token: SecretStr | None = Field(default=None, description="Write-only; never returned.")


class BasicAuth(Model):
    """HTTP Basic."""

    type: Literal["basic"]
    username: str
    password: SecretStr | None = Field(default=None, description="Write-only; never returned.")


type Auth = Annotated[NoAuth | BearerAuth | BasicAuth, Field(discriminator="type")]


def _no_trailing_slash(url: str) -> str:
    return url.rstrip("/")


BaseUrl = Annotated[
    str,
    StringConstraints(pattern=r"^https?://[^\s/?#@]+(/[^\s?#]*)?$", max_length=2_048),
    AfterValidator(_no_trailing_slash),
]


class ConnectionInput(Model):
    """What a caller sends to create or replace a connection."""

    name: Name
    stable_key: StableKey | None = None
    description: Description | None = None
    base_url: BaseUrl = Field(description="http or https; no query, no user name inside.")
    headers: dict[str, str] = Field(default_factory=dict, description="Sent with every request.")
    auth: Auth = NoAuth()


class Connection(ConnectionInput, SecretHolder):
    """A stored connection. Its secrets are in the secret store, never here."""

    prefix: ClassVar[str] = "con"
