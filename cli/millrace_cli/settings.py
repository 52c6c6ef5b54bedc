"""Where the API is and how to get in, without a login: environment first, then a local file."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from millrace_cli.errors import CliError

LOCAL_FILE = Path(".local", "millrace.json")


@dataclass(frozen=True, slots=True)
class Settings:
    """Base URL of the API (no trailing slash) and a bearer token."""

    url: str
    token: str


def find_settings(
    start: Path | None = None, environment: Mapping[str, str] = os.environ
) -> Settings:
    """MILLRACE_URL and MILLRACE_TOKEN, else the nearest `.local/millrace.json` upwards.

    Raises:
        CliError: neither is there, or what is there cannot be used.
    """
    url, token = environment.get("MILLRACE_URL"), environment.get("MILLRACE_TOKEN")
    if url and token:
        return _checked(url, token, "MILLRACE_URL")
    if url or token:
        given, missing = ("MILLRACE_URL", "MILLRACE_TOKEN")[:: 1 if url else -1]
        raise CliError(f"{given} is set but {missing} is not; set both or neither")
    folder = (start or Path.cwd()).resolve()
    for parent in (folder, *folder.parents):
        path = parent / LOCAL_FILE
        if path.is_file():
            return _from_file(path)
    raise CliError(
        "no API known: run `make run` for a local one, or set MILLRACE_URL and MILLRACE_TOKEN"
    )


def _from_file(path: Path) -> Settings:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return _checked(str(content["url"]), str(content["token"]), str(path))
    except (OSError, ValueError, KeyError, TypeError):
        raise CliError(f"{path} is damaged; `make run` writes it anew") from None


def _checked(url: str, token: str, origin: str) -> Settings:
    try:
        parts = urlsplit(url)
        right = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:  # of brackets or a port that cannot be
        right = False
    if not right:
        raise CliError(f"{origin}: {url!r} is not an http or https address")
    return Settings(url.rstrip("/"), token.strip())
