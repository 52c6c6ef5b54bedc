"""Virtual environments: named sets of replacements that are applied to a run."""

from typing import ClassVar

from pydantic import Field

from millrace import limits
from millrace.domain.base import Description, Json, Model, Name, StableKey, VariableKey, Whole
from millrace.domain.flow_parts import ApiKeys
from millrace.domain.resource import SecretHolder


class Replacements(Model):
    """What is something else in a run of the environment."""

    connections: dict[str, str] = Field(
        default_factory=dict,
        max_length=limits.REPLACED_CONNECTIONS,
        description="Id of a connection to id of the one that takes its place.",
    )
    data_pools: dict[str, str] = Field(
        default_factory=dict,
        max_length=limits.REPLACED_DATA_POOLS,
        description="Id of a data pool to id of the one that takes its place.",
    )
    variables: dict[VariableKey, Json] = Field(
        default_factory=dict,
        max_length=limits.REPLACED_VARIABLES,
        description="Key of a variable to its value; readable, so no place for secrets.",
    )
    priority: Whole | None = Field(default=None, ge=1, le=5, description="1 goes first.")


class VirtualEnvironmentInput(Model):
    """What a caller sends to create or replace a virtual environment."""

    name: Name
    stable_key: StableKey | None = None
    description: Description | None = None
    replacements: Replacements = Replacements()
    api_keys: ApiKeys = Field(default=None, exclude_if=lambda keys: keys is None)


class VirtualEnvironment(VirtualEnvironmentInput, SecretHolder):
    """A stored virtual environment; its customer's API keys are in the secret store, never here."""

    prefix: ClassVar[str] = "venv"
    orders: ClassVar[tuple[str, ...]] = ("createdAt", "name")
