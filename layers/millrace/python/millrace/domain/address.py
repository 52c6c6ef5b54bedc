"""What public addresses share: who may send to them, and which requests are the same."""

from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, StrictBool, model_validator

from millrace import limits
from millrace.domain.base import Expression, Model, StableKey, Whole, WriteOnly
from millrace.domain.flow_parts import HeaderName
from millrace.domain.signatures import (
    PRESETS,
    HmacAlgorithm,
    HmacEncoding,
    HmacPreset,
    Scheme,
)

type AnswerFormat = Literal["json", "xml", "csv", "txt"]

AnswerStatus = Annotated[int, Field(ge=200, le=599, description="HTTP status of the answer.")]
HmacSecret = Annotated[WriteOnly, Field(max_length=128)]

SETTLED: Final = {
    "hmac_algorithm": "hmacAlgorithm",
    "hmac_header": "hmacHeader",
    "hmac_prefix": "hmacPrefix",
    "hmac_encoding": "hmacEncoding",
}
"""The fields that a preset settles, and their wire names."""


def _offered(algorithm: Any) -> Any:  # noqa: ANN401 - anything may be sent
    if isinstance(algorithm, str) and algorithm.lower() == "ripemd128":
        msg = "ripemd128 is broken and not offered; use sha256 or sha512"
        raise ValueError(msg)
    return algorithm


class AddressInput(Model):
    """What a caller says of who may send to an address, and when."""

    stable_key: StableKey | None = None
    hmac_preset: HmacPreset | None = Field(
        default=None,
        description="Requests are signed as this vendor signs them; settles the other fields.",
    )
    hmac_algorithm: Annotated[HmacAlgorithm | None, BeforeValidator(_offered)] = None
    hmac_secret_key: HmacSecret = None
    hmac_secret_key_next: HmacSecret = Field(
        default=None,
        description="Write-only; taken as well while the sender changes over to it. Empty: none.",
    )
    hmac_header: HeaderName = "X-Hub-Signature-256"
    hmac_prefix: str = Field(
        default="sha256=", max_length=32, description="By default the algorithm's name and `=`."
    )
    hmac_encoding: HmacEncoding = "hex"
    virtual_environment_id: str | None = Field(
        default=None,
        description="In which its runs take place; its API keys are those of the flow's customers.",
    )
    delivery_id_header: HeaderName | None = Field(
        default=None,
        description="Header that names a delivery; the same name gives the same run.",
    )
    delivery_id_expression: Expression | None = Field(
        default=None, description="JSONata on the record of a delivery: its name, instead."
    )
    delivery_id_of_body: StrictBool = Field(
        default=False, description="The same body is the same delivery, instead."
    )
    delivery_id_seconds: Whole = Field(
        default=limits.DELIVERY_MEMORY_DAYS * 86_400,
        ge=1,
        le=limits.DELIVERY_SECONDS_MAX,
        description="How long the name of a delivery is remembered.",
    )

    @model_validator(mode="before")
    @classmethod
    def _usual(cls, given: Any) -> Any:  # noqa: ANN401 - anything may be sent
        """What follows from the preset, or from the algorithm."""
        if not isinstance(given, dict):
            return given
        preset = given.get("hmacPreset", given.get("hmac_preset"))
        if isinstance(preset, str) and preset in PRESETS:
            scheme = PRESETS[preset]
            settled = {name: getattr(scheme, name.removeprefix("hmac_")) for name in SETTLED}
            return {
                alias: settled[name] for name, alias in SETTLED.items() if name not in given
            } | given
        if given.get("hmacAlgorithm") in ("sha1", "sha512"):
            return {"hmacPrefix": f"{given['hmacAlgorithm']}="} | given
        return given

    @property
    def scheme(self) -> Scheme | None:
        """How its requests are signed; None if they are not."""
        if self.hmac_preset is not None:
            return PRESETS[self.hmac_preset]
        if self.hmac_algorithm is None:
            return None
        return Scheme(self.hmac_algorithm, self.hmac_header, self.hmac_prefix, self.hmac_encoding)
