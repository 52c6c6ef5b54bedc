"""What template.yaml declares is what the stores and schedules ask of it."""

import json
import re
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

import pytest
from tests.support.aws import ROOT, template

from millrace import limits
from millrace.domain.networks import AllowedNetworks
from millrace.storage import keys
from millrace.usecases import hold
from millrace_local.build import template_parameters
from millrace_local.config import Config

HTTP_API_SECONDS: Final = 30
"""An HTTP API gives a function no longer for an answer."""


def test_the_index_of_all_runs_holds_what_they_are_filtered_by() -> None:
    """A filter on what the index does not hold would find nothing."""
    indexes = template()["Resources"]["Table"]["Properties"]["GlobalSecondaryIndexes"]
    projections = {index["IndexName"]: index["Projection"] for index in indexes}
    assert projections["gsi4"]["NonKeyAttributes"] == [*keys.RUN_FILTERED]


def test_the_control_plane_may_query_every_index_but_the_sweepers() -> None:
    """Its policy names each; the simulated AWS asks for no permission."""
    resources = template()["Resources"]
    indexes = resources["Table"]["Properties"]["GlobalSecondaryIndexes"]
    statements = resources["ApiFunction"]["Properties"]["Policies"][0]["Statement"]
    (querying,) = (each for each in statements if each["Action"] == "dynamodb:Query")
    named = {f"${{Table.Arn}}/index/{index['IndexName']}" for index in indexes}
    assert named - {*querying["Resource"]} == {"${Table.Arn}/index/gsi2"}


@pytest.mark.parametrize("caller", ["RunStepFunction", "ApiFunction"])
def test_runs_and_tests_may_call_functions_of_the_prefix_and_no_others(caller: str) -> None:
    """What docs/flows.md promises; above all they may not call the stack's own functions."""
    resources = template()["Resources"]
    statements = resources[caller]["Properties"]["Policies"][0]["Statement"]
    (calling,) = (each for each in statements if each["Action"] == "lambda:InvokeFunction")
    assert calling["Resource"].endswith(":${AWS::AccountId}:function:${FunctionPrefix}*")
    assert template()["Parameters"]["FunctionPrefix"]["Default"] == "millrace-fn-"


@pytest.mark.parametrize("sender", ["RunStepFunction", "ApiFunction", "NotifyFunction"])
def test_no_network_is_open_unless_the_operator_says_so(sender: str) -> None:
    """All functions that send requests are told the same."""
    variables = template()["Resources"][sender]["Properties"]["Environment"]["Variables"]
    assert variables["MILLRACE_ALLOWED_NETWORKS"] == "AllowedNetworks"
    assert not AllowedNetworks.from_text(
        template()["Parameters"]["AllowedNetworks"]["Default"]
    ).networks


def test_the_local_stack_opens_loopback_and_nothing_else(tmp_path: Path) -> None:
    """The servers of its examples are there; `sam local` takes over what is deployed."""
    config = Config(root=ROOT, state=tmp_path, environment=tmp_path)
    reach = AllowedNetworks.from_text(template_parameters(config)["AllowedNetworks"]).of("ws_1")
    refused = [reach.refusal(ip_address(each), 80) for each in ("127.0.0.1", "::1", "10.0.0.1")]
    assert refused == [None, None, "private"]


def test_what_schedules_cannot_deliver_is_kept_and_raises_an_alarm() -> None:
    """The scheduler may send to the queue, the trigger function does, and somebody hears of it."""
    resources = template()["Resources"]
    statements = resources["ScheduleRole"]["Properties"]["Policies"][0]["PolicyDocument"][
        "Statement"
    ]
    assert {
        "Effect": "Allow",
        "Action": "sqs:SendMessage",
        "Resource": "ScheduleDeadLetters.Arn",
    } in statements
    trigger = resources["TriggerFunction"]["Properties"]
    assert trigger["DeadLetterQueue"]["TargetArn"] == "ScheduleDeadLetters.Arn"
    alarm = resources["LostOccurrences"]["Properties"]
    assert alarm["Dimensions"] == [{"Name": "QueueName", "Value": "ScheduleDeadLetters.QueueName"}]
    assert (alarm["Threshold"], alarm["ComparisonOperator"]) == (0, "GreaterThanThreshold")


def test_the_sweeper_may_put_schedules_right_as_the_control_plane_does() -> None:
    """The same calls on the same group, and no role to hand on but that of schedules."""
    resources = template()["Resources"]
    sweeper, api = (resources[name]["Properties"] for name in ("LifecycleFunction", "ApiFunction"))

    def scheduling(function: dict[str, Any]) -> list[object]:
        statements = function["Policies"][0]["Statement"]
        return [each for each in statements if "scheduler:" in str(each["Action"])]

    assert scheduling(sweeper) == scheduling(api)
    (handing_on,) = (
        each for each in sweeper["Policies"][0]["Statement"] if each["Action"] == "iam:PassRole"
    )
    assert handing_on["Resource"] == "ScheduleRole.Arn"
    names = {"TRIGGER_ARN", "SCHEDULE_GROUP", "SCHEDULE_ROLE_ARN", "SCHEDULE_DEAD_LETTERS_ARN"}
    given = sweeper["Environment"]["Variables"]
    for name in (f"MILLRACE_{name}" for name in names):
        assert given[name] == api["Environment"]["Variables"][name]


def test_who_ends_a_run_may_tell_the_machine_that_waits_for_it() -> None:
    """The lifecycle function of any end, the others of what they do themselves."""
    resources = template()["Resources"]
    machines = (
        "arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}:"
        "stateMachine:${AWS::StackName}-*"
    )
    telling = {}
    for name in ("ApiFunction", "IngressFunction", "RunStepFunction", "LifecycleFunction"):
        policies = resources[name]["Properties"]["Policies"][0]["Statement"]
        for statement in policies:
            actions = statement["Action"]
            actions = {actions} if isinstance(actions, str) else {*actions}
            told = {each.removeprefix("states:SendTask") for each in actions if "SendTask" in each}
            if told:
                assert statement["Resource"] == machines
                telling[name] = told
    assert telling == {
        "ApiFunction": {"Failure"},
        "IngressFunction": {"Failure"},
        "RunStepFunction": {"Success", "Failure"},
        "LifecycleFunction": {"Success", "Failure"},
    }


def test_queues_of_the_prefix_come_to_the_trigger_function_and_to_no_other() -> None:
    """The API may connect them to that function alone, which may read them and no others."""
    resources = template()["Resources"]
    api = resources["ApiFunction"]["Properties"]["Policies"][0]["Statement"]
    (connecting,) = (each for each in api if "lambda:CreateEventSourceMapping" in each["Action"])
    assert connecting["Condition"] == {"ArnEquals": {"lambda:FunctionArn": "TriggerFunction.Arn"}}
    trigger = resources["TriggerFunction"]["Properties"]
    (reading,) = (
        each
        for each in trigger["Policies"][0]["Statement"]
        if "sqs:ReceiveMessage" in each["Action"]
    )
    assert {*reading["Action"]} == {
        "sqs:ReceiveMessage",
        "sqs:DeleteMessage",
        "sqs:GetQueueAttributes",
    }
    assert reading["Resource"].endswith(":${AWS::AccountId}:${TargetPrefix}*")
    assert trigger["Timeout"] <= 30, "as long as a queue hides a message unless it says so"


def test_the_sweeper_comes_twice_before_a_slot_is_taken_for_leaked() -> None:
    """One visit that fails costs no live run its slot."""
    sweep = template()["Resources"]["LifecycleFunction"]["Properties"]["Events"]["Sweep"]
    assert sweep["Type"] == "Schedule"
    assert json.loads(sweep["Properties"]["Input"]) == {"event": "sweep"}
    every = re.fullmatch(r"rate\((\d+) minutes\)", sweep["Properties"]["Schedule"])
    assert every is not None
    assert 2 * int(every[1]) < limits.SLOT_LEASE_MINUTES


def test_public_addresses_take_any_method_of_anyone() -> None:
    """A sender has no token; webhooks and callbacks check who calls themselves."""
    events = template()["Resources"]["IngressFunction"]["Properties"]["Events"]
    routes = {event["Properties"]["Path"]: event["Properties"] for event in events.values()}
    assert routes.keys() == {"/hooks/{webhookId}", "/callbacks/{callbackId}"}
    for route in routes.values():
        assert (route["Method"], route["Auth"]) == ("ANY", {"Authorizer": "NONE"})


def test_a_caller_is_answered_before_the_function_and_the_gateway_give_up() -> None:
    """Also one whose run was started at the last try."""
    longest = limits.RUN_WAIT_SECONDS + sum(hold._START_PAUSES)
    given = template()["Resources"]["IngressFunction"]["Properties"]["Timeout"]
    assert longest < given < HTTP_API_SECONDS
