"""Webhooks: public addresses that start runs."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator

from millrace import limits
from millrace.domain.base import Model, Name, StableKey, WriteOnly
from millrace.domain.flow_parts import HeaderName
from millrace.domain.resource import SecretHolder

type HmacAlgorithm = Literal["sha1", "sha256", "sha512"]


def _offered(algorithm: Any) -> Any:  # noqa: ANN401 - anything may be sent
    if isinstance(algorithm, str) and algorithm.lower() == "ripemd128":
        msg = "ripemd128 is broken and not offered; use sha256 or sha512"
        raise ValueError(msg)
    return algorithm


type AnswerFormat = Literal["json", "xml", "csv", "txt"]

AnswerStatus = Annotated[int, Field(ge=200, le=599, description="HTTP status of the answer.")]


class WebhookInput(Model):
    """What a caller sends to create or replace a webhook."""

    name: Name = "webhook"
    stable_key: StableKey | None = None
    status: AnswerStatus = 202
    body: str | None = Field(
        default=None,
        max_length=limits.ANSWER_BODY_LENGTH,
        description="What an accepted delivery is answered; absent: the run's id.",
    )
    format: AnswerFormat = Field(
        default="json", description="The content type of `body`, which is sent as it is."
    )
    hmac_algorithm: Annotated[HmacAlgorithm | None, BeforeValidator(_offered)] = None
    hmac_secret_key: Annotated[WriteOnly, Field(max_length=128)] = None
    hmac_header: HeaderName = "X-Hub-Signature-256"
    hmac_prefix: str = Field(
        default="sha256=", max_length=32, description="By default the algorithm's name and `=`."
    )
    virtual_environment_id: str | None = Field(
        default=None,
        description="In which its runs take place; its API keys are those of the flow's customers.",
    )
    delivery_id_header: HeaderName | None = Field(
        default=None,
        description="Header that names a delivery; the same name gives the same run.",
    )

    @model_validator(mode="before")
    @classmethod
    def _usual_prefix(cls, given: Any) -> Any:  # noqa: ANN401 - anything may be sent
        if isinstance(given, dict) and given.get("hmacAlgorithm") in ("sha1", "sha512"):
            return {"hmacPrefix": f"{given['hmacAlgorithm']}="} | given
        return given


class Webhook(WebhookInput, SecretHolder):
    """A stored webhook of a flow. Its secret is in the secret store, never here."""

    prefix: ClassVar[str] = "hook"
    is_public: ClassVar[bool] = True
    listed_in: ClassVar[str | None] = "webhook_ids"

    flow_id: str
