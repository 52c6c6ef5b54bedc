"""How a connection proves who asks: one model for each kind, its secrets write-only."""

import re
from string import Formatter
from typing import Annotated, Final, Literal

from pydantic import (
    AfterValidator,
    Field,
    SecretStr,
    StringConstraints,
    ValidationInfo,
    field_validator,
)

from millrace import limits
from millrace.domain.base import Model

_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""RFC 9110, section 5.6.2: what a header may be called."""


def _header_secret(secret: SecretStr) -> SecretStr:
    # The message must not repeat the value.
    if re.fullmatch(r"[\x20-\x7e]+", secret.get_secret_value()) is None:
        msg = "expected one line of printable ASCII characters, at least one"
        raise ValueError(msg)
    return secret


HeaderSecret = Annotated[
    SecretStr | None,
    AfterValidator(lambda secret: None if secret is None else _header_secret(secret)),
    Field(description="Write-only; never returned."),
]

Secret = Annotated[SecretStr | None, Field(min_length=1, description="Write-only; never returned.")]

HeaderName = Annotated[
    str, StringConstraints(pattern=rf"^{_TOKEN.pattern}$", max_length=limits.HEADER_NAME_LENGTH)
]

Prefix = Annotated[
    str,
    StringConstraints(pattern=r"^[\x20-\x7e]*$", max_length=limits.HEADER_NAME_LENGTH),
    Field(description="Stands directly before the value; a space at its end counts."),
]


class NoAuth(Model):
    """The system asks for no credential."""

    type: Literal["none"] = "none"


class BearerAuth(Model):
    """`Authorization: Bearer <token>`."""

    type: Literal["bearer"]
    token: HeaderSecret = None


class BasicAuth(Model):
    """HTTP Basic. Some systems take a key as the user name, and an empty password."""

    type: Literal["basic"]
    username: str = Field(pattern=r"^[^:\x00-\x1f\x7f]*$", max_length=1_024)
    password: SecretStr | None = Field(default=None, description="Write-only; never returned.")


class ApiKeyAuth(Model):
    """A key in a header or in the query of each request."""

    type: Literal["apiKey"]
    in_: Literal["header", "query"] = Field(default="header", alias="in")
    name: str = Field(
        default="X-Api-Key",
        pattern=r"^[^\s&=#]+$",
        max_length=limits.HEADER_NAME_LENGTH,
        description="Of the header or of the query's parameter.",
    )
    prefix: Prefix = ""
    key: HeaderSecret = None

    @field_validator("name")
    @classmethod
    def _header_has_a_name(cls, name: str, info: ValidationInfo) -> str:
        if info.data.get("in_") == "header" and _TOKEN.fullmatch(name) is None:
            msg = "expected the name of a header, such as X-Api-Key"
            raise ValueError(msg)
        return name


class OAuth2ClientCredentialsAuth(Model):
    """An access token of the client's own (RFC 6749, section 4.4), asked for when it is needed."""

    type: Literal["oauth2ClientCredentials"]
    token_url: str = Field(
        pattern=r"^https?://[^\s/?#@\\]+([/?][^\s#\\]*)?$",
        max_length=2_048,
        description="http or https; no user name inside.",
    )
    client_id: str = Field(min_length=1, max_length=1_024)
    client_secret: Secret = None
    scopes: tuple[
        Annotated[str, StringConstraints(pattern=r"^[\x21\x23-\x5b\x5d-\x7e]+$", max_length=512)],
        ...,
    ] = Field(default=(), max_length=limits.OAUTH_SCOPES)
    audience: str | None = Field(default=None, min_length=1, max_length=2_048)
    credentials_in: Literal["header", "body"] = Field(
        default="header",
        description="How the token endpoint learns id and secret: HTTP Basic, or form fields.",
    )


class HmacAuth(Model):
    """A signature over parts of each request, made with a secret that both sides have."""

    type: Literal["hmac"]
    algorithm: Literal["sha1", "sha256", "sha512"] = "sha256"
    header: HeaderName = Field(default="X-Signature", description="Where the signature stands.")
    prefix: Prefix = ""
    encoding: Literal["hex", "base64"] = "hex"
    timestamp_header: HeaderName | None = Field(
        default=None,
        description="Where the time of signing stands, if anywhere.",
    )
    timestamp_format: Literal["unixSeconds", "unixMilliseconds", "rfc3339"] = "unixSeconds"
    signed_text: str = Field(
        min_length=1,
        max_length=limits.SIGNED_TEXT_LENGTH,
        description="What is signed: text with {method}, {path} (with its query), {timestamp} and "
        "{body} in it, such as {timestamp}.{body}; a brace is written twice.",
    )
    secret: Secret = None

    @field_validator("signed_text")
    @classmethod
    def _can_be_checked(cls, template: str, info: ValidationInfo) -> str:
        parts = signed_parts(template)
        if not parts:
            msg = f"nothing of the request is signed; use some of {_PARTS}"
            raise ValueError(msg)
        if "timestamp" in parts and info.data.get("timestamp_header") is None:
            msg = "a signed {timestamp} needs a timestampHeader, or nobody can check it"
            raise ValueError(msg)
        return template


SIGNED_PARTS: Final = frozenset({"method", "path", "timestamp", "body"})
_PARTS: Final = ", ".join(f"{{{part}}}" for part in sorted(SIGNED_PARTS))


def signed_parts(template: str) -> frozenset[str]:
    """The parts of a request that a template names. Raises ValueError for anything else."""
    found = set()
    for _, part, conversion, spec in Formatter().parse(template):
        if part is None:
            continue
        if part not in SIGNED_PARTS or conversion or spec:
            msg = f"there is no part {{{part}}}; use some of {_PARTS}"
            raise ValueError(msg)
        found.add(part)
    return frozenset(found)


type Auth = Annotated[
    NoAuth | BearerAuth | BasicAuth | ApiKeyAuth | OAuth2ClientCredentialsAuth | HmacAuth,
    Field(discriminator="type"),
]
