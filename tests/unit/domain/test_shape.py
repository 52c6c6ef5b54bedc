"""What is wrong with a document is told in words of JSON, with what to do."""

from typing import Any

import pytest
from pydantic import ValidationError

from millrace.domain.connection import ConnectionInput
from millrace.domain.errors import Violation
from millrace.domain.flow import FlowInput
from millrace.domain.pointers import json_pointer
from millrace.domain.shape import violation_of

KEY = {"organizationApiKeys": ["s3cret"]}
ALIASES = [{"alias": f"a{number}", "flowId": "flow_1"} for number in range(101)]


@pytest.mark.parametrize(
    ("given", "pointer", "message", "remedy"),
    [
        ({"name": 5}, "/name", "This is a whole number, not text.", "Write text."),
        ({"labels": "x"}, "/labels", "This is text, not a list.", "Write a list."),
        ({"settings": []}, "/settings", "This is a list, not an object.", "Write an object."),
        ({"trigger": None}, "/trigger", "This is null, not an object.", "Write an object."),
        ({"prodFlag": "yes"}, "/prodFlag", "This is text, not true or false.", "Write true"),
        ({"prodFlag": 1}, "/prodFlag", "This is a whole number, not true or false.", "Write"),
        ({"priority": "2"}, "/priority", "This is text, not a whole number.", "Write a whole"),
        ({"priority": True}, "/priority", "This is a boolean, not a whole number.", "Write"),
        ({"priority": 1.5}, "/priority", "This is a number, not a whole number.", "Write"),
        ({"priority": 6}, "/priority", "Expected 5 or less.", "Correct it."),
        ({"logging": {"debugUntil": 5}}, "/logging/debugUntil", "not a time such as", "Write"),
        ({"enabledAt": "17"}, "/enabledAt", "This is text, not a time such as 2026", "Write"),
        ({"name": ""}, "/name", "Expected 1 character or more.", "Correct it."),
        ({"name": "x" * 129}, "/name", "Expected 128 characters at most.", "Correct it."),
        (KEY, "/organizationApiKeys/0", "Expected 16 characters or more.", "Correct it."),
        ({"aliases": ALIASES}, "/aliases", "Expected 100 entries at most.", "Correct it."),
        ({"stableKey": "a b"}, "/stableKey", "Expected text that matches ^[A-Z", "Correct it."),
        (
            {"layoutDirection": "up"},
            "/layoutDirection",
            "Expected 'horizontal' or 'vertical'.",
            "Write one of them.",
        ),
        (
            {"steps": [{"id": "a", "type": "Export", "action": {"type": "Banana"}}]},
            "/steps/0/action/type",
            "'Banana' is none of 'Export', 'Process', 'Import'.",
            "Write one of them.",
        ),
        (
            {"steps": [{"id": "a", "type": "Export", "action": {}}]},
            "/steps/0/action/type",
            "This field is required.",
            "Add it.",
        ),
        (
            {"trigger": {"kind": "schedule"}},
            "/schedule",
            "A trigger of kind schedule needs a schedule.",
            "Set schedule, or another kind of trigger.",
        ),
        (
            {"enabled": True, "disabled": True},
            "/enabled",
            "enabled and disabled contradict each other.",
            "Send one of them.",
        ),
        (
            {"steps": [{}] * 1_001},
            "/steps",
            "The flow has 1001 steps; 200 is the limit.",
            "Move parts of it into flows of their own.",
        ),
    ],
)
def test_a_fault_is_told_in_words_of_json(
    given: dict[str, Any], pointer: str, message: str, remedy: str
) -> None:
    """No Python types, the place of the fault itself, and a remedy whatever it is."""
    told = fault(FlowInput, {"name": "n"} | given)
    assert told.pointer == pointer
    assert message in told.message
    assert told.remedy is not None
    assert told.remedy.startswith(remedy)
    assert "s3cret" not in str(told)


def test_an_unknown_kind_is_shown_short() -> None:
    """A tag may be any text, such as a whole credential in the wrong place."""
    given = {"name": "n", "baseUrl": "https://shop.example", "auth": {"type": "x" * 5_000}}
    told = fault(ConnectionInput, given)
    assert (told.code, told.pointer) == ("literalError", "/auth/type")
    assert len(told.message) < 200


def fault(kind: type[FlowInput | ConnectionInput], given: dict[str, Any]) -> Violation:
    """The one thing that is wrong."""
    with pytest.raises(ValidationError) as raised:
        kind.model_validate(given)
    (error,) = raised.value.errors()
    return violation_of(error, json_pointer(error["loc"], given))
