"""Routers become steps that send each record the same way."""

from typing import Any

import pytest

from millrace.connectors.expressions import check_expression, matches
from millrace.domain.base import Json
from millrace.domain.router_filters import to_expression
from millrace.domain.routers import Router, check_routers, steps_of

OPEN: Json = ["equals", ["string", ["extract", "status"]], "open"]


def router(id_: str, *branches: dict[str, Any], **fields: Json) -> Router:
    """A router as the vendor sends it."""
    return Router.model_validate({"id": id_, "branches": [*branches], **fields})


@pytest.mark.parametrize(
    ("rules", "record", "expected"),
    [
        (OPEN, {"status": "open"}, True),
        (OPEN, {"status": "Open"}, False),
        (OPEN, {}, False),
        (["notequals", ["extract", "n"], 1], {"n": 2}, True),
        (["greaterthan", ["number", ["extract", "n"]], 1], {"n": "2"}, True),
        (["greaterthanequals", ["extract", "n"], 2], {"n": 2}, True),
        (["lessthan", ["extract", "n"], 2], {"n": 2}, False),
        (["lessthanequals", ["extract", "n"], 2], {"n": 2}, True),
        (["and", OPEN, ["equals", ["extract", "n"], 1]], {"status": "open", "n": 1}, True),
        (["or", OPEN, ["equals", ["extract", "n"], 1]], {"n": 1}, True),
        (["not", OPEN], {"status": "shut"}, True),
        (["contains", ["extract", "a.b"], "x"], {"a": {"b": "axb"}}, True),
        (["doesnotcontain", ["extract", "a"], "x"], {"a": "axb"}, False),
        (["startswith", ["extract", "a"], "ab"], {"a": "abc"}, True),
        (["endswith", ["extract", "a"], "bc"], {"a": "abc"}, True),
        (["endswith", ["extract", "a"], "ab"], {"a": "abc"}, False),
        (["matches", ["extract", "a"], "^a/b+$"], {"a": "a/bb"}, True),
        (["empty", ["extract", "a"]], {}, True),
        (["empty", ["extract", "a"]], {"a": None}, True),
        (["notempty", ["extract", "a"]], {"a": ""}, False),
        (["notempty", ["extract", "a"]], {"a": [1]}, True),
        (["equals", ["lowercase", ["extract", "odd name"]], "x"], {"odd name": "X"}, True),
        (["equals", ["boolean", ["extract", "a"]], True], {"a": True}, True),
    ],
)
def test_a_filter_matches_as_the_vendors_does(
    rules: Json, record: dict[str, Json], *, expected: bool
) -> None:
    """Each operator, absent fields included."""
    assert matches(to_expression(rules), record) is expected


@pytest.mark.parametrize(
    "rules",
    [
        ["isempty", ["extract", "a"]],
        ["equals", 1],
        ["extract", ""],
        ["extract", "a`b"],
        ["extract", 1],
        ["and"],
        [],
        {"a": 1},
    ],
)
def test_a_rule_that_is_not_understood_is_refused(rules: Json) -> None:
    """Rather than matching nothing without a word."""
    with pytest.raises(ValueError, match=r"understood|no name"):
        to_expression(rules)


def test_the_first_matching_branch_is_an_exclusive_group() -> None:
    """The branches' first steps read the sources and let in their own; the rest follows them."""
    write = {"type": "import", "_importId": "act_write", "proceedOnFailure": True}
    look_up = {
        "type": "export",
        "_exportId": "act_look",
        "setupInProgress": True,
        "responseMapping": {"fields": [{"extract": "data", "generate": "found"}], "lists": []},
    }
    steps = steps_of(
        [
            router(
                "r1",
                {
                    "name": "Open",
                    "inputFilter": {"version": "1", "rules": OPEN},
                    "pageProcessors": [look_up, write],
                },
                {"name": "Rest"},
            )
        ],
        ["read"],
    )
    assert [(step.id, step.type, step.depends_on) for step in steps] == [
        ("r1.1", "Process", ("read",)),
        ("r1.1.1", "Export", ("r1.1",)),
        ("r1.1.2", "Import", ("r1.1.1",)),
        ("r1.2", "Process", ("read",)),
    ]
    gate, lookup, writing, rest = steps
    assert {gate.exclusive_group, rest.exclusive_group} == {"r1"}
    assert (gate.filter, rest.filter) == (to_expression(OPEN), None)
    assert (lookup.referrer, lookup.is_skipped, writing.proceed_on_failure) == (
        "act_look",
        True,
        True,
    )
    assert lookup.response_mapping is not None
    check_expression(gate.filter or "")


def test_routers_chain_and_meet() -> None:
    """In whatever order they are sent; one that nothing leads to has no steps."""
    first = router("r1", {"name": "A", "nextRouterId": "r3"}, {"name": "B", "nextRouterId": "r2"})
    last = router("r3", {"name": "D"}, routeRecordsTo="all_matching_branches")
    middle = router("r2", {"name": "C", "nextRouterId": "r3"})
    steps = {
        step.id: step for step in steps_of([first, last, middle, router("r9", {"name": "E"})], ())
    }
    assert {id_: step.depends_on for id_, step in steps.items()} == {
        "r1.1": (),
        "r1.2": (),
        "r2.1": ("r1.2",),
        "r3.1": ("r1.1", "r2.1"),
    }
    assert steps["r3.1"].exclusive_group is None


def test_all_that_is_wrong_with_routers_is_told_at_once() -> None:
    """Ids used twice, routers that are not there, filters and processors that are not whole."""
    wrong = [
        router(
            "r1",
            {
                "name": "A",
                "nextRouterId": "r9",
                "inputFilter": {"rules": ["isempty", 1]},
                "pageProcessors": [{"type": "import", "_exportId": "act_1"}],
            },
        ),
        router("r1", {"name": "B"}),
        router("r2", {"name": "C", "nextRouterId": "r3"}),
        router("r3", {"name": "D", "nextRouterId": "r2"}),
    ]
    assert {(found.code, found.pointer) for found in check_routers(wrong)} == {
        ("routerTwice", "/1/id"),
        ("unknownRouter", "/0/branches/0/nextRouterId"),
        ("badFilter", "/0/branches/0/inputFilter/rules"),
        ("actionMissing", "/0/branches/0/pageProcessors/0"),
        ("routerCircle", ""),
    }
    assert not [*check_routers([router("r1", {"name": "A"})])]
