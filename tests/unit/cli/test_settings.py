"""Where the command line finds the API."""

import json
from pathlib import Path

import pytest

from millrace_cli.errors import CliError
from millrace_cli.settings import Settings, find_settings


def local_file(folder: Path, content: str) -> None:
    """Write `.local/millrace.json` into a folder."""
    (folder / ".local").mkdir()
    (folder / ".local" / "millrace.json").write_text(content, encoding="utf-8")


def test_the_environment_comes_first(tmp_path: Path) -> None:
    """What is exported wins over the local stack."""
    local_file(tmp_path, json.dumps({"url": "http://local", "token": "l"}))
    environment = {"MILLRACE_URL": "https://api.example/v", "MILLRACE_TOKEN": "t"}
    assert find_settings(tmp_path, environment) == Settings("https://api.example/v", "t")


def test_the_local_file_is_found_from_a_folder_below(tmp_path: Path) -> None:
    """`millrace` works anywhere inside the project."""
    local_file(tmp_path, json.dumps({"url": "http://127.0.0.1:4566/x/", "token": "t"}))
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    assert find_settings(below, {}) == Settings("http://127.0.0.1:4566/x", "t")


@pytest.mark.parametrize(
    ("environment", "content", "message"),
    [
        ({}, None, "run `make run`"),
        ({"MILLRACE_URL": "http://a"}, None, "MILLRACE_TOKEN is not"),
        ({"MILLRACE_TOKEN": "t"}, None, "MILLRACE_URL is not"),
        ({"MILLRACE_URL": "ftp://a", "MILLRACE_TOKEN": "t"}, None, "not an http or https"),
        ({"MILLRACE_URL": "http://[a", "MILLRACE_TOKEN": "t"}, None, "not an http or https"),
        ({"MILLRACE_URL": "http://a:b", "MILLRACE_TOKEN": "t"}, None, "not an http or https"),
        ({"MILLRACE_URL": "http:///x", "MILLRACE_TOKEN": "t"}, None, "not an http or https"),
        ({}, "{", "is damaged"),
        ({}, '{"url": "http://a"}', "is damaged"),
        ({}, "[]", "is damaged"),
    ],
    ids=[
        "nothing",
        "no-token",
        "no-url",
        "scheme",
        "brackets",
        "port",
        "host",
        "syntax",
        "member",
        "array",
    ],
)
def test_missing_or_damaged_settings_say_what_to_do(
    tmp_path: Path, environment: dict[str, str], content: str | None, message: str
) -> None:
    """Every way of not knowing the API has its own sentence."""
    if content is not None:
        local_file(tmp_path, content)
    with pytest.raises(CliError, match=message):
        find_settings(tmp_path, environment)
