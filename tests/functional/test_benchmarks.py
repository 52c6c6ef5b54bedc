"""The figures of the benchmarks: counted for real, and told by the names that others look for."""

from collections import Counter

from benchmarks.billed import Bill, bills
from benchmarks.latency import figures


def test_a_run_has_a_bill() -> None:
    """Everything that AWS would charge for a run of one step is counted."""
    bill = bills((1,))[1]
    assert bill.transitions >= 2, "the step and the end"
    assert bill.invocations >= 2, "the delivery and the step"
    assert bill.function_ms > 0
    assert bill.dynamodb_requests > 0
    assert bill.read_units > 0
    assert bill.write_units > 0
    assert 0 < bill.dollars_per_1000 < 1
    told = bill.told()
    assert all(told.values()), told
    assert told["usd_per_1000_runs"] == round(bill.dollars_per_1000, 4)


def test_latency_is_told_by_its_names() -> None:
    """`--json` is read by others, and each figure is of what its name says."""
    bill = Bill(transitions=40, requests=Counter(PutItem=1))
    told = figures([1.0, 2.0, 9.0], 45.04, [3.0, 4.0, 8.0], {5: bill})
    assert {name: value for name, value in told.items() if name != "billed"} == {
        "callback_p50_ms": 2.0,
        "callback_p99_ms": 2.0,
        "callback_rps_8": 45.0,
        "webhook_p50_ms": 4.0,
        "webhook_p99_ms": 4.0,
        "usd_per_1000_runs": {"5": 1.001},
        "transitions_per_run": {"5": 40},
    }
    assert told["billed"].keys() == {"5"}
