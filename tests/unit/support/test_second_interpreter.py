"""Tests that need Node are never missed in silence."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("environment", "code", "told"),
    [
        ({}, pytest.ExitCode.NO_TESTS_COLLECTED, "no second interpreter has run"),
        ({"CI": "true"}, pytest.ExitCode.TESTS_FAILED, "test_the_second_interpreter_agrees"),
    ],
)
def test_without_node_its_tests_are_told_missing_and_fail_in_ci(
    environment: dict[str, str], code: int, told: str
) -> None:
    """Where Node is missing the summary says so, beside whatever else was run; CI goes red."""
    clean = {k: v for k, v in os.environ.items() if k != "CI" and not k.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/functional/node"],
        cwd=ROOT,
        env=clean | environment | {"PATH": "/nowhere"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout
    assert told in done.stdout
