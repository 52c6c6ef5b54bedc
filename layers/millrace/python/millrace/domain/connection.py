"""Connections: how to reach a system."""

import re
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, StrictFloat, model_validator

from millrace import limits
from millrace.domain.authentication import Auth, NoAuth
from millrace.domain.base import Description, Model, Name, StableKey, Whole
from millrace.domain.findings import contradiction, missing
from millrace.domain.request_paths import Path
from millrace.domain.resource import SecretHolder

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


class System(Model):
    """What is at the other end, for people and for exports."""

    name: Name
    label: Name | None = None
    protocol: Name = "HTTP"


class RateLimit(Model):
    """How much the system takes, of all workers and tests together."""

    requests_per_second: StrictFloat | None = Field(
        default=None, gt=0, le=limits.REQUESTS_PER_SECOND_MAX, allow_inf_nan=False
    )
    burst: Whole | None = Field(
        default=None,
        ge=1,
        le=limits.REQUESTS_PER_SECOND_MAX,
        description="Requests at once after a pause; absent: one.",
    )
    max_concurrency: Whole | None = Field(
        default=None, ge=1, le=limits.CONCURRENT_REQUESTS_MAX, description="Requests under way."
    )

    @model_validator(mode="after")
    def _limits_something(self) -> Self:
        if self.requests_per_second is None and self.max_concurrency is None:
            raise missing(
                "requestsPerSecond",
                "Expected requestsPerSecond, maxConcurrency or both.",
                "Add one of them.",
            )
        if self.burst is not None and self.requests_per_second is None:
            raise contradiction(
                "burst",
                "burst means nothing without requestsPerSecond.",
                "Leave it out, or add requestsPerSecond.",
            )
        return self


type PingMethod = Literal["GET", "HEAD"]


class PingSettings(Model):
    """A request that changes nothing and shows whether the connection works."""

    method: PingMethod = "GET"
    path: Path | None = Field(default=None, description="Absent: the baseUrl itself.")


class ConnectionInput(Model):
    """What a caller sends to create or replace a connection."""

    name: Name
    stable_key: StableKey | None = None
    description: Description | None = None
    base_url: BaseUrl = Field(description="http or https; no query, no user name inside.")
    headers: dict[str, str] = Field(
        default_factory=dict,
        description="Sent with every request; readable, so no place for credentials.",
    )
    auth: Auth = NoAuth()
    system: System | None = None
    rate_limit: RateLimit | None = Field(
        default=None, description="Shared by all flows; absent: as the system's answers say."
    )
    ping: PingSettings = PingSettings()


class Connection(ConnectionInput, SecretHolder):
    """A stored connection. Its secrets are in the secret store, never here."""

    prefix: ClassVar[str] = "con"
    orders: ClassVar[tuple[str, ...]] = ("createdAt", "name")
