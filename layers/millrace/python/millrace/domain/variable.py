"""Variables: values that flows share, some of them secret."""

from typing import ClassVar, Literal

from pydantic import Field, StrictBool

from millrace.domain.base import Description, Json, Model, VariableKey
from millrace.domain.resource import SecretHolder

type VariableType = Literal["string", "number", "boolean", "json"]


class VariableInput(Model):
    """What a caller sends to create or replace a variable."""

    key: VariableKey
    description: Description | None = None
    type: VariableType = "string"
    value: Json = Field(
        default=None, description="Of the type that `type` names; write-only if `secret`."
    )
    secret: StrictBool = Field(default=False, description="Keep the value in the secret store.")

    @property
    def has_value_of_type(self) -> bool:
        """Whether the value is what `type` says; null is a value of no type."""
        match self.type:
            case "string":
                return isinstance(self.value, str)
            case "number":
                return isinstance(self.value, int | float) and not isinstance(self.value, bool)
            case "boolean":
                return isinstance(self.value, bool)
            case "json":
                return self.value is not None


class Variable(VariableInput, SecretHolder):
    """A stored variable; the value of a secret one is in the secret store, never here."""

    prefix: ClassVar[str] = "var"
    orders: ClassVar[tuple[str, ...]] = ("createdAt", "name")

    @property
    def name(self) -> str:
        """What lists are sorted by and searched for."""
        return self.key

    @property
    def stable_key(self) -> str:
        """What makes it the only one in its workspace."""
        return self.key
