"""A world of its own for each test."""

import pytest
from tests.support.world import World


@pytest.fixture
def world() -> World:
    """Empty stores, scripted systems, and time that stands still."""
    return World()
