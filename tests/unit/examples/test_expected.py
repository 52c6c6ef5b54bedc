"""What the examples are checked against must itself notice every kind of difference."""

import json

import pytest

from millrace_local.examples import expected
from millrace_local.examples.world import ROOT


def feature(record_id: str, magnitude: float, depth_km: float) -> dict[str, object]:
    """One feature of the feed, with what the flow reads of it."""
    return {
        "id": record_id,
        "properties": {
            "mag": magnitude,
            "place": "at sea",
            "time": 1_517_966_773_840,
            "type": "earthquake",
            "tsunami": 1,
        },
        "geometry": {"coordinates": [-118.5, 34.25, depth_km]},
    }


def test_features_are_sorted_out_and_converted() -> None:
    """Small ones fall away, 2.5 and 5 are in, 100 km are 62.1 miles."""
    quakes = expected.quakes([feature("a", 2.4, 1), feature("b", 2.5, 100), feature("c", 5, 0)])
    assert quakes.warehouse[0] == {
        "id": "b",
        "kind": "earthquake",
        "magnitude": 2.5,
        "place": "at sea",
        "time": "2018-02-07T01:26:13.840Z",
        "longitude": -118.5,
        "latitude": 34.25,
        "depthMiles": 62.1,
        "tsunami": True,
    }
    assert quakes.alerts == [{"id": "c", "text": "M 5.0 at sea", "magnitude": 5, "depthMiles": 0}]
    assert quakes.summary[0] == {
        "system": "warehouse",
        "records": 2,
        "strongest": 5,
        "meanMagnitude": 3.75,
        "deepestMiles": 62.1,
    }


def test_the_real_week_has_297_quakes_to_keep_and_39_to_warn_of() -> None:
    """The figures that the documentation names."""
    features = json.loads((ROOT / "examples/data/earthquakes.json").read_text())["features"]
    quakes = expected.quakes(features)
    assert (len(features), len(quakes.warehouse), len(quakes.alerts)) == (1707, 297, 39)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ([{"a": 1}, {"a": 2}, {"a": 2}], []),
        ([{"a": 2.0}, {"a": 1.0000000000001}, {"a": 2}], []),
        ([{"a": 1}, {"a": 2}], ['missing 1 time(s): {"a": 2.0}']),
        ([{"a": 1}, {"a": 2}, {"a": 2}, {"a": 2}], ['unexpected 1 time(s): {"a": 2.0}']),
        (
            [{"a": True}, {"a": 2}, {"a": 2}],
            ['missing 1 time(s): {"a": 1.0}', 'unexpected 1 time(s): {"a": true}'],
        ),
    ],
    ids=["equal", "equal-as-json", "lost", "duplicated", "changed"],
)
def test_lost_duplicated_and_changed_records_are_named(
    found: list[dict[str, object]], words: list[str]
) -> None:
    """Order does not matter; everything else does."""
    assert expected.differences([{"a": 1}, {"a": 2}, {"a": 2}], found) == words
