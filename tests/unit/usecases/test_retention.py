"""What is kept of runs, and what is forgotten when one fails."""

import pytest
from tests.support.samples import ALICE, process_step
from tests.support.world import World

from millrace import limits
from millrace.domain.base import Json
from millrace.domain.errors import ConflictError
from millrace.domain.run import PayloadRef, Run, RunStatus
from millrace.usecases.payloads import load_payload
from millrace.usecases.retry_run import RetryRequest, retry_run
from millrace.usecases.run_ends import Failure

MAP = process_step("map")
CRASHED = Failure(error="Lambda.Unknown")
LARGE = {"text": "x" * (limits.INLINE_PAYLOAD_BYTES + 1)}


def failed(world: World, payload: Json, **settings: Json) -> Run:
    """A run that failed."""
    run = world.start(world.deployed(MAP, **settings), payload)
    world.tell(run, "attemptFailed", failure=CRASHED)
    return world.now(run)


@pytest.fixture
def world() -> World:
    """Nothing yet."""
    return World()


@pytest.mark.parametrize("payload", [{"id": 1}, LARGE], ids=["inline", "in the bucket"])
def test_payloads_of_failed_runs_can_be_forgotten(world: World, payload: Json) -> None:
    """Nothing of it is left, the run says so, and refuses to be repeated."""
    run = failed(world, payload, remove_failed_payloads=True)
    assert run.status is RunStatus.FAILED
    assert (run.payload, run.payload_removed) == (PayloadRef(), True)
    assert world.blobs.objects == {}
    with pytest.raises(ConflictError, match="removeFailedPayloads"):
        retry_run(world.context, ALICE, run.id, RetryRequest())


def test_payloads_that_may_be_needed_stay(world: World) -> None:
    """Those of failed runs by default, of runs that wait for a retry, and of those that succeed."""
    kept = failed(world, LARGE)
    waiting = failed(world, LARGE, remove_failed_payloads=True, retry_max_attempts=1)
    assert waiting.status is RunStatus.RETRYING
    fine = world.start(world.deployed(MAP, remove_failed_payloads=True), LARGE)
    world.step(fine, "map")
    world.tell(fine, "attemptSucceeded")
    for run in (kept, waiting, world.now(fine)):
        assert load_payload(world.context, run) == LARGE
    assert retry_run(world.context, ALICE, kept.id, RetryRequest()).retry_of == kept.id


def test_a_run_whose_payload_expired_is_not_repeated(world: World) -> None:
    """The bucket has forgotten it, which is better told at once than by a step that fails."""
    large, small = (failed(world, payload) for payload in (LARGE, {"id": 1}))
    world.clock.forward(days=limits.RUN_DETAIL_DAYS)
    with pytest.raises(ConflictError, match="90 days"):
        retry_run(world.context, ALICE, large.id, RetryRequest())
    assert retry_run(world.context, ALICE, small.id, RetryRequest()).retry_of == small.id


def test_objects_of_runs_are_known_by_their_prefix(world: World) -> None:
    """So that a lifecycle rule of the bucket can expire them, whatever the workspace."""
    run = world.start(world.deployed(MAP), LARGE)
    assert list(world.blobs.objects) == [f"runs/{run.workspace_id}/{run.id}/payload.json"]
