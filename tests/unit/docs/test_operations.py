"""The examples of operations in docs/flows.md do what they say."""

import json
import re
from typing import Any, get_args

import pytest
from tests.support.aws import ROOT
from tests.support.functions import ScriptedFunctions
from tests.support.pipelines import RUN, fed_pipeline
from tests.support.samples import BOOKKEEPING, surroundings
from tests.support.time_and_ids import NOON

from millrace.connectors.stages import key_text
from millrace.domain.base import Json
from millrace.domain.data_pool import DataPool
from millrace.domain.operations import Operation
from millrace.domain.pool_entries import Claim, PoolEntry
from millrace.domain.ports import Surroundings
from millrace.domain.records import Origin
from millrace.storage.memory_pool_entries import MemoryPoolEntries

POOL = DataPool(id="pool_01J8ZQ", name="customers", ttl_seconds=60, **BOOKKEEPING)


def examples() -> list[dict[str, Any]]:
    """Every example of the page."""
    text = (ROOT / "docs/flows.md").read_text().partition("## operations\n")[2]
    blocks = re.findall(r"```json\n(.*?)```", text.partition("\n## ")[0], re.DOTALL)
    return [json.loads(block) for block in blocks]


def known_numbers(event: Json) -> Json:
    """The function of the example."""
    numbers = [record["vat"] for record in event["records"]]
    return {
        "records": [{"vat": number, "known": True} for number in numbers],
        "errors": [
            {"index": place, "code": "unknown", "message": "no such number"}
            for place, number in enumerate(numbers)
            if number == "?"
        ],
    }


def here() -> Surroundings:
    """A pool that knows Ann, and a function that knows numbers."""
    entries = MemoryPoolEntries()
    claim = Claim(Origin(RUN, 0), "other", RUN, 1)
    entry = PoolEntry(key_text("ann@example.com"), claim, NOON.replace(year=2100), 7)
    pools = {POOL.id: POOL}
    here = surroundings(pools=pools, entries=entries)
    entries.put(here.workspace_id, POOL.id, [entry])
    (arn,) = (each["operation"]["arn"] for each in examples() if "arn" in each["operation"])
    return surroundings(
        pools=pools, entries=entries, functions=ScriptedFunctions({arn: known_numbers})
    )


@pytest.mark.parametrize("example", examples(), ids=lambda example: example["operation"]["type"])
def test_an_example_does_what_it_says(example: dict[str, Any]) -> None:
    """What comes out, and why the others failed."""
    flow = fed_pipeline(example["operation"], here=here())
    batch = flow.feed(example["in"])
    assert [*batch.records, *flow.finish().records] == example["out"]
    assert [failure.message for failure in batch.failures] == example.get("failed", [])


def test_every_operation_has_an_example() -> None:
    """One each, in the order of the table."""
    kinds = get_args(get_args(Operation.__value__)[0])
    types = {get_args(kind.model_fields["type"].annotation)[0] for kind in kinds}
    assert {each["operation"]["type"] for each in examples()} == types
    assert len(examples()) == len(types)
