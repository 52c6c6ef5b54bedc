"""The commands as a user types them: output, exit codes, and one-line errors."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from subprocess import run as run_process
from unittest.mock import NonCallableMagicMock

import pytest
from typer.testing import Result

from millrace_cli.client import ApiError

type Invoke = Callable[..., Result]
type Write = Callable[[str, str], Path]

RUN = {
    "id": "run_1",
    "flowId": "flow_1",
    "versionNumber": 1,
    "status": "succeeded",
    "trigger": {"source": "manual"},
    "createdAt": "2026-01-31T09:00:00.000Z",
    "startedAt": "2026-01-31T09:00:00.000Z",
    "endedAt": "2026-01-31T09:00:02.000Z",
    "counts": {"recordsIn": 3, "recordsOut": 2, "recordsFailed": 0},
    "steps": [
        {
            "stepId": "read",
            "status": "succeeded",
            "startedAt": "2026-01-31T09:00:00.000Z",
            "endedAt": "2026-01-31T09:00:02.000Z",
            "counts": {"recordsOut": 3},
        }
    ],
}
URL = f"http://127.0.0.1:4566/_aws/execute-api/{'x' * 60}/hooks/hook_1"
FLOW = {
    "id": "flow_1",
    "name": "My [first] flow",
    "stableKey": "mine",
    "trigger": {"kind": "manual"},
    "enabledAt": "2026-01-31T09:00:00.000Z",
    "deployedVersionId": "ver_1",
    "latestVersionId": "ver_2",
    "stepsCount": 2,
}
STEPS = """\
steps:
  - id: read
    type: Export
  - id: write
    type: Import
    dependsOn: [read]
"""


def test_apply_sends_the_document_and_lists_the_changes(
    millrace: Invoke, api: NonCallableMagicMock, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What changed is shown, and the address that a webhook can be called at."""
    monkeypatch.setenv("BASE", "http://x.example")
    file = write("a.yaml", "connections:\n  - stableKey: c\n    baseUrl: ${BASE}\n")
    api.apply.return_value = {
        "connections": [{"stableKey": "c", "change": "created"}],
        "actions": [],
        "flows": [
            {
                "stableKey": "f",
                "change": "updated",
                "versionNumber": 2,
                "deployed": True,
                "webhooks": [{"stableKey": "w", "change": "unchanged", "url": URL}],
                "callbacks": [{"stableKey": "c", "change": "created", "url": URL}],
            }
        ],
    }
    result = millrace("apply", str(file))
    api.apply.assert_called_once_with(
        {"connections": [{"stableKey": "c", "baseUrl": "http://x.example"}]}
    )
    assert [line.split() for line in result.stdout.splitlines()] == [
        ["created", "connection", "c"],
        ["updated", "flow", "f", "v2,", "deployed"],
        ["unchanged", "webhook", "w", URL],
        ["created", "callback", "c", URL],
    ]
    assert json.loads(millrace("apply", str(file), "--json").stdout) == api.apply.return_value


def test_what_the_api_refuses_is_shown_at_its_line(
    millrace: Invoke, api: NonCallableMagicMock, write: Write
) -> None:
    """Every error of the API's answer becomes FILE:LINE:COL."""
    file = write("a.yaml", "flows:\n  - stableKey: f\n    steps:\n      - dependsOn: [x]\n")
    api.apply.side_effect = ApiError(
        422,
        {
            "detail": "2 rules are broken",
            "errors": [
                {"pointer": "/flows/0/steps/0/dependsOn/0", "message": "x?", "remedy": "add it"},
                {"pointer": "/flows/0/steps/0/id", "message": "the id is missing"},
            ],
        },
    )
    result = millrace("apply", str(file))
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr == f"{file}:4:21: x? (add it)\n{file}:4:9: the id is missing\n"


def test_an_unset_name_stops_apply_before_anything_is_sent(
    millrace: Invoke, api: NonCallableMagicMock, write: Write
) -> None:
    """Half a configuration never reaches the API."""
    result = millrace("apply", str(write("a.yaml", "a: ${MILLRACE_TEST_UNSET}\n")))
    assert result.exit_code == 1
    assert "a.yaml:1:4: environment variable MILLRACE_TEST_UNSET is not set" in result.stderr
    api.apply.assert_not_called()


def test_run_prints_the_id_for_scripts(
    millrace: Invoke, api: NonCallableMagicMock, write: Write
) -> None:
    """Without --wait the id alone is printed; the payload is a file or standard input."""
    api.flow.return_value = FLOW
    api.start_run.return_value = {"runId": "run_1", "status": "running"}
    result = millrace("run", "flow_1", "--payload", str(write("p.json", '{"a": 1}')))
    assert result.stdout == "run_1\n"
    api.start_run.assert_called_with("flow_1", {"a": 1})
    millrace("run", "flow_1", "--payload", "-", stdin="[2]")
    api.start_run.assert_called_with("flow_1", [2])


@pytest.mark.parametrize(
    ("status", "exit_code"), [("succeeded", 0), ("partiallySucceeded", 0), ("failed", 1)]
)
def test_run_and_wait_shows_the_timeline_and_tells_by_exit_code(
    millrace: Invoke, api: NonCallableMagicMock, status: str, exit_code: int
) -> None:
    """With --wait a script sees whether the run did its work."""
    api.flows.return_value = iter([FLOW])
    api.start_run.return_value = {"runId": "run_1", "status": "running"}
    api.run.side_effect = [RUN | {"status": "running"}, RUN | {"status": status}]
    result = millrace("run", "mine", "--wait")
    assert result.exit_code == exit_code
    assert "My [first] flow v1" in result.stdout
    assert status in result.stdout


def test_a_test_shows_what_each_step_did(
    millrace: Invoke, api: NonCallableMagicMock, write: Write
) -> None:
    """A line a step; below records, requests that were not sent, and what went wrong."""
    none = {"count": 0, "truncated": False, "data": []}
    read = {
        "stepId": "read",
        "status": "partiallySucceeded",
        "startedAt": "2026-01-31T09:00:00.000Z",
        "durationMs": 1_200,
        "counts": {"recordsIn": 6, "recordsOut": 5, "recordsIgnored": 0, "recordsFailed": 1},
        "hasMore": True,
        "input": none,
        "output": {"count": 5, "truncated": True, "data": [{"n": n, "é": "[x]"} for n in range(4)]},
        "errors": {
            "count": 1,
            "data": [{"code": "bad", "message": "no number", "record": {"n": 9}}],
        },
        "requests": none,
    }
    request = {"method": "PUT", "url": "https://x.example/in", "body": '{"n":1}'}
    write_ = read | {
        "stepId": "write",
        "status": "succeeded",
        "hasMore": False,
        "errors": none,
        "requests": {"count": 1, "data": [request]},
    }
    error = {"code": "timeOver", "message": "the test's 25 s were over before"}
    late = {"stepId": "late", "status": "notReached", "durationMs": 0, "counts": {}, "error": error}
    late |= dict.fromkeys(("input", "output", "errors", "requests"), none)
    result = {"id": "test_1", "versionNumber": 2, "status": "incomplete", "durationMs": 25_000}
    api.test.return_value = result | {"steps": [read, write_, late]}
    api.flow.return_value = FLOW
    told = millrace("flows", "test", "flow_1", "--payload", str(write("p.json", "[1]")))
    api.test.assert_called_once_with("flow_1", {"payload": [1]}, None)
    assert told.exit_code == 1
    assert [" ".join(line.split()) for line in told.stdout.splitlines()] == [
        "My [first] flow v2 test ▸ incomplete in 25.0 s",
        "test_1",
        "",
        "step status time in out ignored failed",
        "read ! partiallySucceeded 1.2 s 6 5 · 1",
        "write ✓ succeeded 1.2 s 6 5 · 1",
        "late ○ notReached · · · ·",
        "",
        "read",
        "the first page; there is more",
        'no number [bad]: {"n": 9}',
        '{"n": 0, "é": "[x]"}',
        '{"n": 1, "é": "[x]"}',
        '{"n": 2, "é": "[x]"}',
        "and 2 more records",
        "",
        "write",
        'would send PUT https://x.example/in {"n":1}',
        "",
        "late",
        "the test's 25 s were over before [timeOver]",
    ]


def test_one_step_is_tested_by_name(millrace: Invoke, api: NonCallableMagicMock) -> None:
    """Programs get the API's answer; without a payload, the saved one is used."""
    api.flow.return_value = FLOW
    api.test.return_value = {"status": "succeeded", "steps": []}
    told = millrace("flows", "test", "flow_1", "--step", "read", "--json")
    api.test.assert_called_once_with("flow_1", {}, "read")
    assert (told.exit_code, json.loads(told.stdout)) == (0, api.test.return_value)


def test_an_unknown_key_is_one_line(millrace: Invoke, api: NonCallableMagicMock) -> None:
    """The line says what to do; there is no traceback."""
    api.flows.return_value = iter([])
    result = millrace("run", "none")
    assert result.exit_code == 1
    assert result.stderr == "no flow has the key 'none'; `millrace flows list` shows them\n"


def test_flows_are_listed_with_their_state(millrace: Invoke, api: NonCallableMagicMock) -> None:
    """One line a flow; brackets in a name are just brackets."""
    scheduled = FLOW | {"stableKey": "other", "schedule": "rate(1 minute)", "enabledAt": None}
    api.flows.return_value = iter([FLOW, scheduled])
    lines = [line.split() for line in millrace("flows", "list").stdout.splitlines()]
    assert lines[1] == ["mine", "My", "[first]", "flow", "2", "live", "manual"]
    assert lines[2][5:] == ["disabled", "rate(1", "minute)"]


def test_a_flow_is_shown_with_the_steps_of_its_live_version(
    millrace: Invoke, api: NonCallableMagicMock
) -> None:
    """The deployed version is what runs, so it is what is shown."""
    api.flow.return_value = FLOW
    api.version.return_value = {
        "number": 1,
        "steps": [
            {"id": "read", "type": "Export"},
            {"id": "write", "type": "Import", "dependsOn": ["read"], "isSkipped": True},
        ],
    }
    result = millrace("flows", "show", "flow_1")
    api.version.assert_called_once_with("flow_1", "ver_1")
    assert [line.split() for line in result.stdout.splitlines()][-2:] == [
        ["read", "Export"],
        ["write", "Import", "(skipped)", "read"],
    ]
    assert (
        json.loads(millrace("flows", "show", "flow_1", "--json").stdout)["version"]["number"] == 1
    )


def test_runs_of_all_flows_are_listed_by_filters(
    millrace: Invoke, api: NonCallableMagicMock
) -> None:
    """What is not given filters nothing."""
    api.runs.return_value = iter([])
    words = ("--status", "failed,running", "--source", "webhook", "--after", "2026-01-31T00:00:00Z")
    assert "no such runs" in millrace("runs", "list", *words).stdout
    filters = {
        "status": "failed,running",
        "triggerSource": "webhook",
        "createdAfter": "2026-01-31T00:00:00Z",
    }
    api.runs.assert_called_once_with(None, filters)


def test_runs_are_listed_newest_first_up_to_a_limit(
    millrace: Invoke, api: NonCallableMagicMock
) -> None:
    """Long histories do not scroll by."""
    api.flow.return_value = FLOW
    running = {**RUN, "id": "run_2", "status": "running", "endedAt": None}
    api.runs.return_value = iter([running, RUN, RUN])
    lines = millrace("runs", "list", "flow_1", "--limit", "2").stdout.splitlines()
    assert len(lines) == 3
    assert lines[1].split()[:3] == ["run_2", "▸", "running"]
    assert lines[2].split() == [
        "run_1",
        "✓",
        "succeeded",
        "2026-01-31",
        "09:00:00",
        "2.0",
        "s",
        "3",
        "2",
        "0",
    ]


def test_a_run_is_shown_as_picture_or_as_json(millrace: Invoke, api: NonCallableMagicMock) -> None:
    """People get the timeline, programs the API's answer."""
    api.run.return_value = RUN
    api.flow.return_value = FLOW
    assert "━" in millrace("runs", "show", "run_1").stdout
    assert json.loads(millrace("runs", "show", "run_1", "--json").stdout) == RUN


def test_a_steps_output_is_one_record_a_line(millrace: Invoke, api: NonCallableMagicMock) -> None:
    """Output can be piped into jq; the note on what is missing goes elsewhere."""
    api.step_output.return_value = {"data": [{"a": "é"}, {"a": 2}], "truncated": True}
    result = millrace("runs", "output", "run_1", "read")
    assert result.stdout == '{"a": "é"}\n{"a": 2}\n'
    assert "more than these 100" in result.stderr


def test_errors_are_listed_retried_and_resolved(
    millrace: Invoke, api: NonCallableMagicMock
) -> None:
    """What failed and why; the ids of the runs for scripts, all else beside them."""
    api.flows.return_value = iter([FLOW])
    error = {"id": "err_1_7_write", "stepId": "write", "position": 7, "code": "http422"}
    api.errors.return_value = iter([error | {"message": "[bad] qty", "traceKey": None}])
    listed = millrace("errors", "list", "mine", "--step", "write")
    assert listed.stdout.splitlines()[-1].split() == [
        "write",
        "7",
        "http422",
        "[bad]",
        "qty",
        "err_1_7_write",
    ]
    api.flows.return_value = iter([FLOW])
    api.retry_errors.return_value = {
        "runs": [{"runId": "run_2", "stepId": "write", "errors": 3}],
        "leftOut": [{"errorId": "err_1_8_write", "reason": "noRecord"}],
        "unknown": [],
        "hasMore": False,
    }
    retried = millrace("errors", "retry", "mine")
    assert retried.stdout == "run_2\n"
    assert "err_1_8_write (noRecord)" in retried.stderr
    api.flows.return_value = iter([FLOW])
    api.resolve_errors.return_value = {"changed": 1000, "unknown": [], "hasMore": True}
    resolved = millrace("errors", "resolve", "mine")
    assert resolved.stdout.startswith("1,000 resolved; there are more")


def test_compile_prints_the_machine_and_nothing_else(millrace: Invoke, write: Write) -> None:
    """Standard output is the ASL; the explanation goes to standard error."""
    flow, durations = write("f.yaml", STEPS), write("d.json", '{"read": 3}')
    result = millrace("compile", str(flow), "--durations", str(durations), "--explain")
    assert result.exit_code == 0
    assert {"StartAt", "States"} <= json.loads(result.stdout).keys()
    assert "read" in result.stderr


def test_compile_finds_the_flow_inside_an_apply_file(millrace: Invoke, write: Write) -> None:
    """What is applied can be compiled as it is; --flow chooses among several flows."""
    one = "".join(f"      {line}\n" for line in STEPS.splitlines())
    file = write("f.yaml", f"flows:\n  -   stableKey: a\n{one}  -   stableKey: b\n{one}")
    assert millrace("compile", str(file), "--flow", "b").exit_code == 0
    undecided = millrace("compile", str(file))
    assert undecided.exit_code == 1
    assert undecided.stderr == (f"{file}:1:1: choose a flow with --flow (the file holds: a, b)\n")
    assert "no flow 'c'" in millrace("compile", str(file), "--flow", "c").stderr


def test_findings_are_shown_at_their_line(millrace: Invoke, write: Write) -> None:
    """The compiler's findings become FILE:LINE:COL, all of them, with nothing on stdout."""
    file = write("f.yaml", "flows:\n  - steps:\n      - id: a\n        dependsOn: [b, c]\n")
    for command in ("compile", "graph"):
        result = millrace(command, str(file))
        assert result.exit_code == 1
        assert result.stdout == ""
        for place, column in enumerate((21, 24)):
            assert f"{file}:4:{column}: No step has the id" in result.stderr
            where = f"/flows/0/steps/0/dependsOn/{place}"
            assert f" [unknownDependency of step 'a' at {where}]\n" in result.stderr


def test_a_misspelt_field_is_refused_with_all_else(millrace: Invoke, write: Write) -> None:
    """No dependency is lost to a slip of the pen; other unknown fields only raise a warning."""
    flow = "steps:\n  - id: a\n    duration: 3\n  - id: b\n    dependson: [a]\n"
    wrong = write("f.yaml", f"{flow}    retry: 3\n")
    for command in ("compile", "graph"):
        result = millrace(command, str(wrong))
        assert (result.exit_code, result.stdout) == (1, "")
        first, second, third = result.stderr.splitlines()
        assert first.startswith(f"{wrong}:3:15: warning: The field 'duration' is not known")
        assert second.startswith(
            f"{wrong}:5:5: There is no field 'dependson' here. (Write dependsOn"
        )
        assert second.endswith(" [unknownField of step 'b' at /steps/1/dependson]")
        assert third.endswith(" [wrongType of step 'b' at /steps/1/retry]")
    right = millrace("compile", str(write("g.yaml", flow.replace("dependson", "dependsOn"))))
    assert right.exit_code == 0
    assert json.loads(right.stdout)["States"]
    assert right.stderr.count("\n") == right.stderr.count("warning: The field 'duration'") == 1


@pytest.mark.parametrize("value", ['"3"', "true", "-1", "1e999", "null"])
def test_durations_must_be_seconds(millrace: Invoke, write: Write, value: str) -> None:
    """Each wrong duration is shown at its line, with what a right one looks like."""
    durations = write("d.json", f'{{"write": -2,\n "read": {value}}}')
    result = millrace("compile", str(write("f.yaml", STEPS)), "--durations", str(durations))
    assert result.exit_code == 1
    assert result.stdout == ""
    for place, step in (("1:11", "write"), ("2:10", "read")):
        assert f"{durations}:{place}: This is not a number of seconds" in result.stderr
        assert f"[outOfRange at /{step}]" in result.stderr


def test_durations_must_be_an_object(millrace: Invoke, write: Write) -> None:
    """A list cannot say which step takes how long."""
    durations = write("d.json", "[]")
    result = millrace("compile", str(write("f.yaml", STEPS)), "--durations", str(durations))
    assert result.exit_code == 1
    assert f"{durations}:1:1: This is a list, not an object." in result.stderr


@pytest.mark.parametrize(
    ("format_", "mark"), [("text", "●  read"), ("mermaid", "flowchart"), ("svg", "<svg")]
)
def test_graph_draws_in_three_formats(
    millrace: Invoke, write: Write, format_: str, mark: str
) -> None:
    """For the terminal, for Markdown, and for everything else."""
    assert mark in millrace("graph", str(write("f.yaml", STEPS)), "--format", format_).stdout


def test_wrong_usage_exits_with_2(millrace: Invoke) -> None:
    """Scripts can tell a mistyped command from a failed one."""
    assert millrace("runs", "shw").exit_code == 2
    assert millrace("graph", "f.yaml", "--format", "png").exit_code == 2


def test_the_installed_command_answers_without_an_api(tmp_path: Path) -> None:
    """`millrace --version` works anywhere, and a missing API is one line on stderr."""
    command = Path(sys.executable).with_name("millrace")
    clean = {k: v for k, v in os.environ.items() if not k.startswith("MILLRACE_")}

    def run(*arguments: str) -> CompletedProcess[str]:
        return run_process(  # noqa: S603 - our own command
            [command, *arguments],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=clean,
            check=False,
        )

    assert run("--version").stdout.startswith("millrace ")
    lost = run("flows", "list")
    assert (lost.returncode, lost.stdout) == (1, "")
    assert lost.stderr.count("\n") == 1
    assert "make run" in lost.stderr


def test_a_flow_is_exported_and_imported(millrace: Invoke, api: NonCallableMagicMock) -> None:
    """What the one prints the other takes; what is left to do is told."""
    api.flow.return_value = FLOW
    api.export_flow.return_value = {"flow": {"name": "Größe"}}
    printed = millrace("flows", "export", "flow_1")
    assert json.loads(printed.stdout) == {"flow": {"name": "Größe"}}
    shop = {"type": "connection", "name": "Shop"}
    api.import_flow.return_value = {
        "resources": [shop | {"id": "con_1", "key": "shop", "change": "created"}],
        "needsConfiguring": [shop | {"field": "auth", "message": "Set its credentials."}],
    }
    result = millrace("flows", "import", "-", stdin=printed.stdout)
    api.import_flow.assert_called_once_with({"flow": {"name": "Größe"}})
    assert result.stdout.splitlines() == [
        "created   connection Shop  con_1",
        "to do: connection Shop, auth: Set its credentials.",
    ]
