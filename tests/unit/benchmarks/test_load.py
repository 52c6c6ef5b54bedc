"""What `make load` calls wrong."""

from typing import Any

import pytest
from benchmarks.load import judged

RIGHT = {
    "not_accepted": 0,
    "accepted_without_run": 0,
    "told_the_run_of_another": 0,
    "more_runs_than_accepted": 0,
    "not_succeeded": 0,
}


def runs(*ids: str, status: str = "succeeded") -> list[dict[str, Any]]:
    """Runs as the API shows them."""
    return [{"id": id_, "status": status} for id_ in ids]


def test_each_delivery_with_a_run_of_its_own_is_right() -> None:
    """All were accepted, and all runs succeeded."""
    assert judged(["a", "b"], runs("a", "b")) == RIGHT


@pytest.mark.parametrize(
    ("told", "there", "wrong"),
    [
        ([None, "a"], runs("a"), {"not_accepted": 1}),
        (["a", "b"], runs("a"), {"accepted_without_run": 1}),
        (["a", "a"], runs("a"), {"told_the_run_of_another": 1}),
        (["a"], runs("a", "b"), {"more_runs_than_accepted": 1}),
        (["a", "b"], runs("a") + runs("b", status="failed"), {"not_succeeded": 1}),
        (["a"], runs("a", status="running"), {"not_succeeded": 1}),
    ],
)
def test_whatever_else_comes_of_them_is_wrong(
    told: list[str | None], there: list[dict[str, Any]], wrong: dict[str, int]
) -> None:
    """And is counted by its name."""
    assert judged(told, there) == RIGHT | wrong
