"""Connections: how to reach a system."""

import re
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from millrace.domain.base import Description, Model, Name, Secret, StableKey
from millrace.domain.resource import SecretHolder


class NoAuth(Model):
    """The system asks for no credential."""

    type: Literal["none"] = "none"


class BearerAuth(Model):
    """`Authorization: Bearer <token>`."""

    type: Literal["bearer"]
    token: Secret = None


class BasicAuth(Model):
    """HTTP Basic."""

    type: Literal["basic"]
    username: str
    password: Secret = None


type Auth = Annotated[NoAuth | BearerAuth | BasicAuth, Field(discriminator="type")]


_BASE_URL = re.compile(r"https?://[^\s/?#@\\]+(/[^\s?#\\]*)?")


def _base_url(url: str) -> str:
    if not _BASE_URL.fullmatch(url):
        msg = (
            "expected an http or https address without query, user name or spaces, "
            "such as https://api.example.com/v2"
        )
        raise ValueError(msg)
    return url.rstrip("/")


BaseUrl = Annotated[str, Field(max_length=2_048), AfterValidator(_base_url)]


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
