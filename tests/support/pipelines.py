"""A process as a step runs it: fed batch by batch, its checkpoint kept, its rest gathered."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.support.samples import surroundings

from millrace.connectors.process import Pipeline
from millrace.domain.action import ProcessAction
from millrace.domain.base import Json, Record
from millrace.domain.ports import Surroundings
from millrace.domain.records import Batch, Origin

RUN = "run_1"


@dataclass
class FedPipeline:
    """A pipeline that knows how many records it was fed, and what it has to be given back."""

    operations: tuple[Json, ...]
    here: Surroundings
    position: int = 0
    kept: list[Json] = field(default_factory=list)
    failed: list[tuple[Origin, str]] = field(default_factory=list)
    """Origin and code of what failed in the end."""

    def __post_init__(self) -> None:
        work = {"type": "Process", "operations": list(self.operations)}
        self.pipeline = Pipeline(ProcessAction.model_validate(work).operations, self.here)

    def feed(self, records: Sequence[Record]) -> Batch:
        """What comes out for these records, without what is kept of them."""
        origins = [Origin(RUN, self.position + place) for place in range(len(records))]
        batch = self.pipeline.feed(records, origins)
        self.position += len(records)
        self.kept += batch.kept
        return Batch(batch.records, batch.ignored, batch.failures)

    def finish(self, done: int = 0) -> Batch:
        """All that comes out in the end, but for the first parts."""
        whole = Batch([], 0, [])
        for rest in self.pipeline.finish(done):
            batch = rest.batch
            whole = Batch(
                [*whole.records, *batch.records],
                whole.ignored + batch.ignored,
                whole.failures + batch.failures,
            )
            self.kept += batch.kept
            self.failed += [(rest.origins[each.index], each.code) for each in batch.failures]
        return whole

    def crashed(self) -> "FedPipeline":
        """Another one that goes on from here, as from a checkpoint written as JSON."""
        state, kept = json.loads(json.dumps([self.pipeline.state(), self.kept]))
        other = FedPipeline(self.operations, self.here, self.position, list(kept))
        other.pipeline.restore(state, kept)
        return other


def fed_pipeline(*operations: Json, here: Surroundings | None = None) -> FedPipeline:
    """A pipeline of operations in their wire form."""
    return FedPipeline(operations, here or surroundings())
