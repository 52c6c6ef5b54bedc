"""What holds for all tests: roles are compared with them, and who is left out is told."""

from pathlib import Path

import pytest
from tests.support.recorded_needs import RecordedNeeds
from tests.support.second_interpreter import FOLDER, is_left_out


def pytest_configure(config: pytest.Config) -> None:
    """Have every call of AWS watched."""
    recorded = RecordedNeeds(config)
    recorded.watch()
    config.pluginmanager.register(recorded)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Where the folder was asked for, its absence is told beside the failures."""
    asked_for = [Path(config.invocation_params.dir, arg.split("::")[0]) for arg in config.args]
    if is_left_out() and any(FOLDER.is_relative_to(path.resolve()) for path in asked_for):
        terminalreporter.section("NOT RUN", yellow=True, bold=True)
        terminalreporter.line(
            "tests/functional/node: Node is not installed, so no second interpreter has run the "
            "compiled machines. Install Node, then run `make test`.",
            yellow=True,
        )
