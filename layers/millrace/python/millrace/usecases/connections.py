"""Connections: where they lead, and how secrets of one kind of authentication end with it."""

from typing import Final

from millrace.domain.connection import Connection, ConnectionInput
from millrace.usecases.crud import Crud
from millrace.usecases.outbound import check_connection


def _same_authentication(before: Connection, given: ConnectionInput) -> bool:
    return before.auth.type == given.auth.type


CONNECTIONS: Final = Crud(
    Connection, ConnectionInput, check=check_connection, keeps_secrets=_same_authentication
)
