"""What holds for every unit test: no socket is opened."""

import pytest
from pytest_socket import disable_socket


@pytest.fixture(autouse=True)
def _no_sockets() -> None:
    """Make a test that reaches for the network fail where it does."""
    disable_socket(allow_unix_socket=True)
