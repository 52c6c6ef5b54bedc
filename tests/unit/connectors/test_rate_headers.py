"""What answers say of the time to come back is understood in each of its forms, or ignored."""

import pytest
from tests.unit.connectors.fake_transport import NOW

from millrace import limits
from millrace.connectors.rate_headers import seconds_to_wait

IN_A_MINUTE = str(int(NOW.timestamp()) + 60)
DAY = limits.RETRY_AFTER_SECONDS_MAX


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"ratelimit-remaining": "0", "ratelimit-reset": "7"}, 7),
        ({"ratelimit-remaining": "0", "ratelimit-reset": IN_A_MINUTE}, 60),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": IN_A_MINUTE}, 60),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": f"{IN_A_MINUTE}000"}, 60),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1.5"}, 1.5),
        ({"x-rate-limit-remaining": "0", "x-rate-limit-reset": IN_A_MINUTE}, 60),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1000000000"}, 0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "9" * 15}, DAY),
        ({"ratelimit": '"default";r=0;t=30'}, 30),
        ({"ratelimit": '"burst";r=0;t=5, "day";r=0; t=90, "month";r=3;t=999'}, 90),
        ({"ratelimit": '"default";t=30;r=0;pk=:abc:'}, 30),
    ],
    ids=str,
)
@pytest.mark.parametrize("status", [200, 403, 404, 429, 500])
def test_a_limit_that_is_used_up_is_waited_for(
    status: int, headers: dict[str, str], seconds: float
) -> None:
    """Also after a success; the longest of several limits, and no more than a day."""
    assert seconds_to_wait(status, headers, NOW) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"ratelimit-remaining": "0"},
        {"ratelimit-reset": "7"},
        {"ratelimit-remaining": "1", "ratelimit-reset": "7"},
        {"ratelimit-remaining": "0", "x-ratelimit-reset": "7"},
        {"x-ratelimit-remaining": "0, 5", "x-ratelimit-reset": "7"},
        {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "soon"},
        {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "-1"},
        {"x-ratelimit-remaining": "\u0660", "x-ratelimit-reset": "7"},
        {"ratelimit": '"default";r=1;t=30'},
        {"ratelimit": '"default";r=0'},
        {"ratelimit": "default;r=0x;t=30"},
        {"retry-after": "60"},
    ],
    ids=str,
)
def test_what_says_nothing_of_the_time_is_ignored(headers: dict[str, str]) -> None:
    """A success is what it is; half a word or a strange one is none."""
    assert seconds_to_wait(200, headers, NOW) is None


@pytest.mark.parametrize("status", [403, 429, 503])
def test_retry_after_comes_first(status: int) -> None:
    """It is meant for this very answer; a bad one leaves the word to the others."""
    reset = {"ratelimit-remaining": "0", "ratelimit-reset": "7"}
    assert seconds_to_wait(status, {"retry-after": "3", **reset}, NOW) == 3
    assert seconds_to_wait(status, {"retry-after": "abc", **reset}, NOW) == 7
