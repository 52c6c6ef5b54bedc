"""The local stack starts, stops and survives bad luck without leaving anything behind."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.local_stacks import ENVIRONMENT, stack_in

from millrace_local import stack
from millrace_local.config import Config
from millrace_local.errors import LocalStackError
from millrace_local.lifecycle import down, up

PATIENCE_SECONDS = 20.0


@pytest.fixture
def config(tmp_path: Path) -> Iterator[Config]:
    """A stack of the test's own, stopped at its end whatever happened."""
    config = stack_in(tmp_path)
    yield config
    down(config)


def client(config: Config, service: str) -> Any:  # noqa: ANN401 - any service's client
    """Make a client of the stack."""
    make: Callable[..., Any] = config.session().client
    return make(service, endpoint_url=config.endpoint)


def is_free(port: int) -> bool:
    """Tell whether nothing listens on the port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def test_a_second_up_changes_nothing_and_keeps_the_api(config: Config) -> None:
    """Up again while up, and again after a stop: the same API, the same data, nothing built."""
    first = up(config)
    pid = stack.running_stack(config)
    table = first.outputs["TableName"]
    item = {"pk": {"S": "kept"}, "sk": {"S": "x"}}
    client(config, "dynamodb").put_item(TableName=table, Item=item)
    lines: list[str] = []
    again = up(config, lines.append)
    assert lines == ["local stack is already up", "template is deployed, nothing changed"]
    assert stack.running_stack(config) == pid
    assert down(config)
    lines.clear()
    resumed = up(config, lines.append)
    assert lines == ["local stack started", "template is deployed, nothing changed"]
    assert first.api_url == again.api_url == resumed.api_url
    assert first.outputs == resumed.outputs
    found = client(config, "dynamodb").get_item(TableName=table, Key=item)
    assert found["Item"] == item
    answer = client(config, "lambda").invoke(
        FunctionName=resumed.outputs["FunctionName"], Payload='{"do": "echo"}'
    )
    assert json.loads(answer["Payload"].read()) == {"do": "echo"}


def test_a_change_is_deployed_in_place_and_a_bad_one_refused(config: Config) -> None:
    """New code and routes go live under the same URL; a template AWS refuses leaves the old one."""
    first = up(config)
    code = config.root / "functions/probe/app.py"
    code.write_text(code.read_text().replace('"try later"', '"changed"'))
    template = config.root / "template.yaml"
    text = template.read_text()
    template.write_text(text.replace("Path: /guarded", "Path: /renamed"))
    changed = up(config)
    assert changed.api_url == first.api_url
    answer = client(config, "lambda").invoke(
        FunctionName=changed.outputs["FunctionName"], Payload='{"do": "fail"}'
    )
    assert json.loads(answer["Payload"].read())["errorMessage"] == "changed"
    api = str(changed.api_url).rpartition("/")[2]
    routes = client(config, "apigatewayv2").get_routes(ApiId=api)["Items"]
    assert sorted(each["RouteKey"] for each in routes) == ["ANY /hooks/{id}", "GET /renamed"]
    template.write_text(text.replace("!Ref Shared", "!Ref Nowhere"))
    with pytest.raises(LocalStackError, match="Nowhere") as failure:
        up(config)
    assert "\n" not in str(failure.value)
    assert stack.running_stack(config) is not None


def test_a_first_deployment_that_fails_leaves_nothing_running(config: Config) -> None:
    """The resource's reason is the error, the stack is stopped, and the mended template deploys."""
    template = config.root / "template.yaml"
    text = template.read_text()
    bad = "Bad:\n    Type: AWS::Millrace::Nothing\n\n  Shared:"
    template.write_text(text.replace("Shared:", bad, 1))
    with pytest.raises(LocalStackError, match="AWS::Millrace::Nothing"):
        up(config)
    assert is_free(config.port)
    assert not config.pid_file.exists()
    template.write_text(text)
    assert up(config).api_url


def test_a_port_that_is_taken_is_named(config: Config) -> None:
    """Someone else's port: one line that says which and what to do; nothing is started."""
    complaint = pytest.raises(LocalStackError, match=f"port {config.port} .* MILLRACE_PORT")
    with socket.create_server(("127.0.0.1", config.port)), complaint:
        stack.ensure_started(config)
    assert not config.pid_file.exists()


@pytest.mark.parametrize(
    "content",
    ['{"pid": 1, "port": 9, "token": "someone else"}', '{"pid": 99999', "[]"],
    ids=["another-program", "half-written", "not-ours"],
)
def test_what_a_dead_stack_left_behind_is_no_obstacle(content: str, config: Config) -> None:
    """A record that names no running stack is forgotten."""
    config.state.mkdir()
    config.pid_file.write_text(content)
    assert stack.running_stack(config) is None
    assert not config.pid_file.exists()


def test_a_killed_stack_is_started_anew(config: Config) -> None:
    """After a crash the next start works."""
    stack.ensure_started(config)
    found = stack.running_stack(config)
    assert found is not None
    os.kill(found.pid, signal.SIGKILL)
    assert stack.ensure_started(config)


def test_a_stack_that_hangs_is_reported_with_its_log(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No answer is not taken for no stack; the message names the log."""
    stack.ensure_started(config)
    found = stack.running_stack(config)
    assert found is not None
    monkeypatch.setattr(stack, "HEALTH_SECONDS", 0.2)
    os.kill(found.pid, signal.SIGSTOP)
    try:
        with pytest.raises(LocalStackError, match=str(config.log)):
            stack.ensure_started(config)
    finally:
        os.kill(found.pid, signal.SIGCONT)


def test_another_port_while_up_is_refused(config: Config) -> None:
    """One project has one stack; its port cannot change while it is up."""
    stack.ensure_started(config)
    with pytest.raises(LocalStackError, match="already up on port"):
        stack.ensure_started(replace(config, port=config.port + 1))


def test_two_ups_at_once_do_not_meet(config: Config) -> None:
    """The second says so and leaves the first alone."""
    with stack.exclusive(config), pytest.raises(LocalStackError, match="at work"):
        up(config)


@pytest.mark.parametrize("moment", ["starting", "building", "deploying"])
def test_ctrl_c_leaves_nothing_behind(moment: str, config: Config) -> None:
    """Whenever it comes: nothing runs on, and the next up works."""
    state = config.root / ".local"
    state.mkdir()
    (state / "ministack").symlink_to(ENVIRONMENT)
    command = [sys.executable, "-m", "millrace_local", "--root", str(config.root), "up"]
    environment = os.environ | {"MILLRACE_PORT": str(config.port)}
    signs = {
        "starting": state / "stack.json",
        "building": state / "sam.log",
        "deploying": state / "packaged.yaml",
    }
    with subprocess.Popen(  # noqa: S603 - this interpreter
        command, env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not signs[moment].exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 130
    assert said == "interrupted; what this command started is stopped\n"
    assert is_free(config.port)
    assert not (state / "stack.json").exists()
    if moment == "deploying":
        interrupted = replace(config, state=state)
        try:
            assert up(interrupted).api_url
        finally:
            down(interrupted)


def test_the_command_line_speaks_in_single_lines(config: Config) -> None:
    """Status and errors are for people: one line, no traceback."""
    command = [sys.executable, "-m", "millrace_local", "--root", str(config.root)]
    environment = os.environ | {"MILLRACE_PORT": str(config.port)}

    def run(verb: str) -> tuple[int, str, str]:
        ran = subprocess.run(  # noqa: S603 - this interpreter
            [*command, verb], env=environment, capture_output=True, text=True, check=False
        )
        return ran.returncode, ran.stdout, ran.stderr

    assert run("status") == (1, "not up\n", "")
    assert run("down") == (0, "local stack is not up\n", "")
    assert run("logs") == (
        1,
        "",
        "error: there is no log yet: the local stack has not been started\n",
    )
