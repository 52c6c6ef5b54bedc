"""What a system says of the time to come back, over a real socket: it holds for all runs."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from tests.functional.loopback_server import REACH, answer, serving
from tests.support.samples import ALICE
from tests.support.samples import connection as sample

from millrace import limits
from millrace.connectors.http_client import HttpClient
from millrace.connectors.registry import HttpConnectors
from millrace.connectors.transport import Urllib3Transport
from millrace.domain.action import ExportAction
from millrace.domain.base import Record
from millrace.domain.errors import StepThrottled
from millrace.domain.run_values import NO_VALUES
from millrace.storage.memory_paces import MemoryPaces

NOW = datetime(2026, 1, 31, 9, tzinfo=UTC)


@dataclass
class Runs:
    """Runs that read from one system, each by a worker of its own; only waits move their clock."""

    url: str
    paces: MemoryPaces = field(default_factory=MemoryPaces)
    now: datetime = NOW
    slept: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        """Move the clock at once."""
        self.slept.append(seconds)
        self.now += timedelta(seconds=seconds)

    def read(self) -> list[Record]:
        """What one more run reads."""
        http = HttpClient(Urllib3Transport(reach=REACH), sleep=self.sleep, clock=lambda: self.now)
        connectors = HttpConnectors(http, lambda: self.paces)
        export = {"type": "Export", "connectionId": sample().id, "http": {"path": "/orders"}}
        work = ExportAction.model_validate(export)
        shop = sample().model_copy(update={"base_url": self.url})
        pages = connectors.exporter(work, shop, {}, NO_VALUES).pages(None)
        return [record for page in pages for record in page.records]


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7),
        ("Sat, 31 Jan 2026 09:10:00 GMT", 600),
        ("99999999", limits.RETRY_AFTER_SECONDS_MAX),
    ],
)
def test_r8_a_time_that_one_run_is_told_pauses_the_connection_for_others(
    status: int, value: str, seconds: int
) -> None:
    """Fault R8: both runs come back then, by the machine; the second sent nothing before."""
    busy = answer(status, headers=f"Retry-After: {value}\r\n")
    with serving(busy, answer(body=b'[{"id": 1}]')) as server:
        runs = Runs(server.url)
        for _ in range(2):
            with pytest.raises(StepThrottled) as raised:
                runs.read()
            assert raised.value.until == NOW + timedelta(seconds=seconds)
        assert (len(server.requests), runs.slept) == (1, [])
        runs.now = raised.value.until
        assert runs.read() == [{"id": 1}]


def test_r8_a_short_time_is_waited_for_by_all_in_place() -> None:
    """Fault R8: nobody goes to the machine for three seconds, and nobody is early."""
    with serving(
        answer(429, headers="Retry-After: 3\r\n"), answer(body=b"[]"), answer(body=b"[]")
    ) as server:
        runs = Runs(server.url)
        runs.read()
        first = list(runs.slept)
        runs.now = NOW + timedelta(seconds=1)
        runs.read()
    assert first == [3]
    assert runs.slept == [3, 2]


@pytest.mark.parametrize(
    "headers",
    [
        "Retry-After: -1\r\n",
        "Retry-After: abc\r\n",
        "Retry-After: 7\r\nRetry-After: 99\r\n",
        "Retry-After: 7\r\nRetry-After: 7\r\n",
    ],
)
def test_r8_what_names_no_time_leaves_the_own_backoff(headers: str) -> None:
    """Fault R8: the worker tries again by itself; the connection goes slower but is not paused."""
    with serving(answer(429, headers=headers), *[answer(body=b"[]")] * 2) as server:
        runs = Runs(server.url)
        runs.read()
        runs.read()
        assert len(server.requests) == 3
    assert all(seconds < limits.WAIT_INSIDE_SECONDS_MAX for seconds in runs.slept)
    pace = runs.paces.read(ALICE.workspace_id, sample().id)
    assert pace is not None
    assert pace.blocked_until == 0
    assert pace.slowdown is not None
