"""These tests need `npm ci` in this folder, which `make test` runs where Node is installed."""

from pathlib import Path

collect_ignore_glob = (
    [] if (Path(__file__).parent / "node_modules").is_dir() else ["test_second_interpreter.py"]
)
