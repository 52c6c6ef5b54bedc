"""Whole flows under faults: what `make chaos` tries, for a few seeds, and that it can tell."""

import logging
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from chaos import seeds
from chaos.deaths import try_death, try_deaths, writes_of
from chaos.faults import Fault
from chaos.plans import EVERY_ON_AWS, Plan, plan_of
from chaos.seeds import Verdict, try_seed
from chaos.shop import Shop

from millrace.connectors.http_messages import HttpRequest, HttpResponse
from millrace.domain.ports import Listing
from millrace.domain.run import Run
from millrace.http import ingress
from millrace.storage.memory import MemoryRuns


@pytest.mark.parametrize("first", range(0, 50, 10))
def test_no_invariant_is_broken_whatever_goes_wrong(first: int) -> None:
    """Fifty seeds, some of them on the adapters for AWS; each says how to repeat it."""
    verdicts = [try_seed(seed) for seed in range(first, first + 10)]
    broken = {f"make chaos SEED={each.seed}": each.broken for each in verdicts if each.broken}
    assert broken == {}


@pytest.mark.parametrize("every", [1, EVERY_ON_AWS])
def test_a_seed_is_the_same_each_time(every: int) -> None:
    """What was broken once can be looked into: the same faults in the same places."""
    first = next(verdict for verdict in map(try_seed, count(every, every)) if verdict.faults)
    assert try_seed(first.seed) == first


@pytest.mark.parametrize("kind", ["webhook", "caller"])
def test_a_death_at_any_write_breaks_nothing(kind: str) -> None:
    """The worker dies before and after each write: of a store, of Step Functions, to a receiver."""
    number, broken = try_deaths(kind)
    assert broken == []
    assert number >= 2 * 10


def test_a_seed_leaves_logging_as_it_was() -> None:
    """Whatever else the process does goes on telling what it does."""
    before = logging.root.manager.disable
    try_seed(0)
    assert logging.root.manager.disable == before == logging.NOTSET


def test_every_place_to_write_is_a_place_to_die() -> None:
    """Nothing that a flow of these kinds writes is left out, S3 and Step Functions included."""
    places = {
        fault.partition(": ")[2].partition(":")[0]
        for kind in ("webhook", "caller")
        for at in range(1, writes_of(kind) + 1)
        for fault in try_death(kind, at, Fault.KILLED_BEFORE).faults
    }
    assert places >= {
        *("runs.create", "runs.claim_step", "runs.save_step", "runs.finish"),
        *("blobs.put", "machines.start", "machines.run", "errors.put", "resources.record_run"),
    }


def test_a_record_that_never_arrives_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The invariants are of use: a place that says yes and keeps nothing breaks one."""
    monkeypatch.setattr(seeds, "plan_of", _without_faults)
    monkeypatch.setattr(Shop, "_take", _forget)
    assert any("is lost" in each for each in _verdict().broken)


def test_a_record_that_arrives_twice_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As does one that takes each request twice."""
    take = Shop._take

    def twice(shop: Shop, request: HttpRequest) -> HttpResponse:
        take(shop, request)
        return take(shop, request)

    monkeypatch.setattr(seeds, "plan_of", _without_faults)
    monkeypatch.setattr(Shop, "_take", twice)
    assert any("arrived 2 times" in each for each in _verdict().broken)


def test_an_answer_that_is_not_the_flows_result_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So does an answer to the caller of a synchronous flow that says something else."""
    monkeypatch.setattr(seeds, "plan_of", _without_faults)
    monkeypatch.setattr(ingress, "body_of", lambda _, __: "[]")
    called = next(seed for seed in range(100) if _waits_for_records(plan_of(seed)))
    assert any("its caller was told []" in each for each in try_seed(called).broken)


def test_a_run_that_made_way_for_another_one_than_it_says_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So do two runs of which only one names the other."""
    page = MemoryRuns.page

    def forgetful(*args: Any, **named: Any) -> Listing[Run]:  # noqa: ANN401 - hands them on
        there = page(*args, **named)
        runs = (run.model_copy(update={"supersedes": ()}) for run in there.items)
        return Listing(tuple(runs), there.cursor)

    monkeypatch.setattr(MemoryRuns, "page", forgetful)
    closed = (seed for seed in range(200) if plan_of(seed).closed_seconds)
    assert any("which made way for it" in each for seed in closed for each in try_seed(seed).broken)


def _waits_for_records(plan: Plan) -> bool:
    return plan.is_synchronous and plan.is_called and any(start.size for start in plan.starts)


def _verdict() -> Verdict:
    return try_seed(3)


def _without_faults(seed: int) -> Plan:
    return replace(plan_of(seed), rate=0.0)


def _forget(_: Shop, __: HttpRequest) -> HttpResponse:
    return HttpResponse(201, {}, b"{}")
