"""What template.yaml watches is there to be watched, and docs/operations.md tells of all of it."""

import json
import re
from typing import Any, Final

import pytest
from tests.support.aws import ROOT, template

from millrace.observability import NAMESPACE, Metric

RESOURCES: Final[dict[str, Any]] = template()["Resources"]
FUNCTIONS: Final = sorted(
    name for name, it in RESOURCES.items() if it["Type"] == "AWS::Serverless::Function"
)
ALARMS: Final = {
    name: it["Properties"]
    for name, it in RESOURCES.items()
    if it["Type"] == "AWS::CloudWatch::Alarm"
}
BY_STATUS: Final = {Metric.RUNS_ENDED, Metric.RUN_DURATION}


def plotted() -> list[list[Any]]:
    """The metrics of the dashboard: namespace, name, dimensions, and how it is drawn."""
    body = json.loads(RESOURCES["Dashboard"]["Properties"]["DashboardBody"])
    return [metric for each in body["widgets"] for metric in each["properties"]["metrics"]]


def alarmed() -> list[tuple[str, str, dict[str, Any]]]:
    """Namespace, name and dimensions of every metric that an alarm watches."""
    found: list[tuple[str, str, dict[str, Any]]] = []
    for alarm in ALARMS.values():
        queries = alarm.get("Metrics", [])
        parts = [each["MetricStat"]["Metric"] for each in queries if "MetricStat" in each]
        for part in parts or [alarm]:
            of = {each["Name"]: each["Value"] for each in part["Dimensions"]}
            found.append((part["Namespace"], part["MetricName"], of))
    return found


def section(title: str) -> str:
    """A section of docs/operations.md."""
    text = (ROOT / "docs/operations.md").read_text()
    return text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def first_cells(text: str) -> list[str]:
    """What stands in the first column of a table, without its head."""
    return re.findall(r"^\| `(\w+)`", text, re.MULTILINE)


def test_the_dashboard_and_the_alarms_name_only_what_the_code_measures() -> None:
    """With the dimensions that it is measured by; otherwise they would show nothing, ever."""
    names = {metric.value for metric in Metric}
    ours = [metric for metric in plotted() if metric[0] == NAMESPACE]
    for _, name, *rest in ours:
        assert name in names
        by_status = ["status"] if Metric(name) in BY_STATUS else []
        dimensions = [each for each in rest if not isinstance(each, dict)]
        assert dimensions[::2] == ["service", *by_status]
    assert {metric[1] for metric in ours} == names
    for namespace, name, of in alarmed():
        assert namespace != NAMESPACE or (name in names and [*of] == ["service"])


def test_the_dashboard_refers_to_what_there_is() -> None:
    """Each reference of its text is to a resource, or to what CloudFormation knows of itself."""
    body = RESOURCES["Dashboard"]["Properties"]["DashboardBody"]
    referred = {name.partition(".")[0] for name in re.findall(r"\$\{([\w:.]+)\}", body)}
    assert {name for name in referred if not name.startswith("AWS::")} <= {*RESOURCES}
    shown = {(metric[0], metric[1]) for metric in plotted()}
    assert shown >= {
        ("AWS/Lambda", "Errors"),
        ("AWS/Lambda", "Throttles"),
        ("AWS/Lambda", "Duration"),
        ("AWS/SQS", "ApproximateNumberOfMessagesVisible"),
        ("AWS/Scheduler", "InvocationsSentToDeadLetterCount"),
        ("AWS/DynamoDB", "WriteThrottleEvents"),
    }


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_has_a_log_that_ends_and_alarms_of_its_own(function: str) -> None:
    """Errors, throttles, and a duration close to its limit; its log goes after some days."""
    made = RESOURCES[function]["Properties"]
    log = RESOURCES[made["LoggingConfig"]["LogGroup"]]
    assert log["Type"] == "AWS::Logs::LogGroup"
    assert log["Properties"]["RetentionInDays"] == "LogDays"
    own = {name for space, name, of in alarmed() if of.get("FunctionName") == function}
    assert own >= {"Errors", "Throttles", "Duration"}
    (slow,) = (
        each
        for each in ALARMS.values()
        if each.get("MetricName") == "Duration" and each["Dimensions"][0]["Value"] == function
    )
    milliseconds = 1000 * made["Timeout"]
    assert 0.75 * milliseconds < slow["Threshold"] < milliseconds


def test_no_two_functions_share_a_log() -> None:
    """Otherwise their lines could not be told apart."""
    logs = [RESOURCES[name]["Properties"]["LoggingConfig"]["LogGroup"] for name in FUNCTIONS]
    names = {RESOURCES[log]["Properties"]["LogGroupName"] for log in logs}
    assert len(names) == len(FUNCTIONS)


def test_every_queue_and_machine_of_the_stack_has_an_alarm() -> None:
    """What waits in a dead-letter queue and what a machine fails at, somebody hears of."""
    watched = {value.partition(".")[0] for _, _, of in alarmed() for value in of.values()}
    kinds = ("AWS::SQS::Queue", "AWS::Serverless::StateMachine", "AWS::Serverless::HttpApi")
    assert {name for name, it in RESOURCES.items() if it["Type"] in kinds} <= watched


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_tells_the_topic_and_is_quiet_while_nothing_runs(name: str) -> None:
    """Where there is a topic."""
    told = ["HasAlarmTopic", ["AlarmTopicArn"], "AWS::NoValue"]
    assert ALARMS[name]["AlarmActions"] == told
    assert ALARMS[name]["TreatMissingData"] == "notBreaching"


def test_what_runs_is_traced() -> None:
    """Functions, and machines with what their roles need to say so."""
    assert template()["Globals"]["Function"]["Tracing"] == "Active"
    assert RESOURCES["NotifyMachine"]["Properties"]["Tracing"] == {"Enabled": True}
    for role in ("MachineRole", "NotifyMachineRole"):
        (policy,) = RESOURCES[role]["Properties"]["Policies"]
        actions = str(policy["PolicyDocument"]["Statement"])
        assert "xray:PutTraceSegments" in actions
        assert "xray:PutTelemetryRecords" in actions


def test_the_page_tells_of_every_metric_and_every_alarm() -> None:
    """In the tables of docs/operations.md."""
    assert sorted(first_cells(section("Metrics"))) == sorted(Metric)
    listed = section("Alarms")
    for name in ALARMS:
        kind = re.sub(r"^(Api|Authorizer|Ingress|RunStep|Trigger|Notify|Lifecycle)", "", name)
        assert f"`{name}`" in listed or f"`…{kind}`" in listed, name
