"""A connection's secrets, by name, or a clear word that one was never stored."""

from collections.abc import Mapping

from pydantic.alias_generators import to_camel

from millrace.domain.connection import Connection
from millrace.domain.errors import StepFailed


def secret_value(
    connection: Connection, secrets: Mapping[str, str], name: str, *, may_be_empty: bool = False
) -> str:
    """One secret. Raises StepFailed if it is not stored."""
    value = secrets.get(name)
    if value is None or not (value or may_be_empty):
        message = f"the connection '{connection.name}' has no {to_camel(name)} stored"
        raise StepFailed("missingSecret", message)
    return value
