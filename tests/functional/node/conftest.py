"""These tests need Node, and `npm ci` in this folder, which `make test` runs."""

from tests.support.second_interpreter import is_left_out

# tests/conftest.py says at the end of the run that they are missing.
collect_ignore_glob = ["test_second_interpreter.py"] if is_left_out() else []
