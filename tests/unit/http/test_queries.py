"""What the parameters of an address mean."""

from datetime import UTC, datetime

from millrace.domain.run import RunFilter, RunStatus
from millrace.http.run_queries import RunsQuery


def test_a_value_that_a_filter_repeats_counts_once() -> None:
    """DynamoDB compares with 100 values at most, and there are fewer than that to name."""
    query = RunsQuery.model_validate(
        {
            "filter[status]": ",".join(["failed", "running"] * 51),
            "filter[triggerSource]": ",".join(["webhook"] * 101),
            "filter[flowId]": "flow_2,flow_1,flow_2",
            "filter[createdAfter]": "2026-01-31T12:00:00Z",
        }
    )
    assert query.where == RunFilter(
        statuses=(RunStatus.FAILED, RunStatus.RUNNING),
        trigger_sources=("webhook",),
        flow_ids=("flow_2", "flow_1"),
        created_after=datetime(2026, 1, 31, 12, tzinfo=UTC),
    )
