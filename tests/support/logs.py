"""What the functions log and measure, as CloudWatch would get it."""

import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from millrace.observability import NAMESPACE, logger

type Line = dict[str, Any]


@contextmanager
def logged() -> Iterator[list[Line]]:
    """The lines that are logged within, once it is left."""
    lines: list[Line] = []
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    handler.setFormatter(logger.registered_formatter)
    ours = logging.getLogger("millrace")
    ours.addHandler(handler)
    try:
        yield lines
    finally:
        ours.removeHandler(handler)
        lines += map(json.loads, text.getvalue().splitlines())


def measured(capsys: pytest.CaptureFixture[str]) -> list[Line]:
    """The lines with metrics that were written since it was asked last."""
    written = capsys.readouterr().out.splitlines()
    lines = [json.loads(line) for line in written if line.startswith("{")]
    return [line for line in lines if "_aws" in line]


def values(lines: list[Line], name: str) -> list[float]:
    """All values of a metric in these lines."""
    found: list[float] = []
    for line in lines:
        (directive,) = line["_aws"]["CloudWatchMetrics"]
        assert directive["Namespace"] == NAMESPACE
        if name in {each["Name"] for each in directive["Metrics"]}:
            found += line[name]
    return found
