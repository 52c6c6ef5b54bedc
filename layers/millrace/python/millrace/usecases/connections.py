"""Connections: how secrets of one kind of authentication end with it."""

from typing import Final

from millrace.domain.connection import Connection, ConnectionInput
from millrace.usecases.crud import Crud


def _same_authentication(before: Connection, given: ConnectionInput) -> bool:
    return before.auth.type == given.auth.type


CONNECTIONS: Final = Crud(Connection, ConnectionInput, keeps_secrets=_same_authentication)
