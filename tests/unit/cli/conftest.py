"""A runner for the command line and a stand-in for the API with the real client's interface."""

from collections.abc import Callable
from pathlib import Path
from unittest.mock import NonCallableMagicMock, create_autospec

import pytest
from typer.testing import CliRunner, Result

from millrace_cli.client import ApiClient
from millrace_cli.main import app

type Invoke = Callable[..., Result]


@pytest.fixture
def api() -> NonCallableMagicMock:
    """An API client whose answers a test sets."""
    client: NonCallableMagicMock = create_autospec(ApiClient, instance=True)
    return client


@pytest.fixture
def millrace(api: ApiClient) -> Invoke:
    """Run `millrace` with these arguments against the stand-in."""

    def invoke(*arguments: str, stdin: str | None = None) -> Result:
        return CliRunner().invoke(
            app, arguments, obj=api, input=stdin, env={"COLUMNS": "100", "TERM": "dumb"}
        )

    return invoke


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    """Write a file and give its path."""

    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write
