"""Build the bundle with sam, only when something that goes into it changed."""

import hashlib
import json
import platform
import sys
from pathlib import Path
from typing import Any

import yaml

from millrace_local.bill import LAYERS, write_bill
from millrace_local.config import Config
from millrace_local.errors import LocalStackError
from millrace_local.processes import run_tool

# What flows of the local stack talk to listens on this machine, its examples' servers above all.
_LOOPBACK = json.dumps({"loopback": {"cidrs": ["127.0.0.0/8", "::1/128"], "workspaces": ["*"]}})
NOT_SOURCE = {"__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache"}


class _TemplateLoader(yaml.SafeLoader):
    """Reads a template's shape; CloudFormation's short forms (``!Ref``) become None."""


_TemplateLoader.add_multi_constructor("!", lambda _loader, _suffix, _node: None)


def host_architecture() -> str:
    """Return this machine's architecture in Lambda's words; compiled wheels must match it."""
    return "arm64" if platform.machine().lower() in {"arm64", "aarch64"} else "x86_64"


def template_parameters(config: Config) -> dict[str, str]:
    """Return the values for those parameters that the template declares."""
    declared = _read_template(config.root / config.template).get("Parameters") or {}
    # MiniStack knows no alarms over expressions, and nobody watches a laptop's.
    values = {
        "Architecture": host_architecture(),
        "AllowedNetworks": _LOOPBACK,
        "Alarms": "false",
    }
    values |= config.parameters
    return {name: value for name, value in values.items() if name in declared}


def _read_template(path: Path) -> dict[str, Any]:
    try:
        template = yaml.load(path.read_text(), Loader=_TemplateLoader)  # noqa: S506 - a SafeLoader
    except (OSError, yaml.YAMLError) as error:
        said = " ".join(str(error).split())
        raise LocalStackError(f"{path} cannot be read: {said}") from error
    if not isinstance(template, dict):
        raise LocalStackError(f"{path} is not a CloudFormation template")
    return template


def source_digest(config: Config) -> str:
    """Return a digest of everything that decides what is deployed."""
    digest = hashlib.sha256(json.dumps(template_parameters(config), sort_keys=True).encode())
    for path in _source_files(config):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{path.relative_to(config.root)} {content}\n".encode())
    return digest.hexdigest()


def _source_files(config: Config) -> list[Path]:
    files = [config.root / config.template]
    for source in config.sources:
        files += [
            path
            for path in (config.root / source).rglob("*")
            if path.is_file() and not NOT_SOURCE.intersection(path.parts)
        ]
    return sorted(files)


def build(config: Config, digest: str) -> Path:
    """Run ``sam build`` unless the last build was of the same source; return the built template."""
    target = config.state / "build"
    marker = config.state / "build.digest"
    built = target / "template.yaml"
    if built.exists() and marker.exists() and marker.read_text() == digest:
        return built
    marker.unlink(missing_ok=True)
    command: list[str | Path] = [
        *("build", "--cached", "--parallel"),
        *("--template-file", config.root / config.template),
        *("--base-dir", config.root),
        *("--build-dir", target, "--cache-dir", config.state / "build-cache"),
    ]
    if parameters := template_parameters(config):
        command.append("--parameter-overrides")
        # Quoted as JSON, for a value may hold quotes itself.
        command += [
            f"ParameterKey={key},ParameterValue={json.dumps(value)}"
            for key, value in parameters.items()
        ]
    run_sam(config, command)
    if any((target / layer).exists() for layer in LAYERS):
        write_bill(config.root, target)
    marker.write_text(digest)
    return built


def package(config: Config, built: Path, bucket: str) -> str:
    """Upload what the built template refers to and return the template that names the uploads."""
    packaged = config.state / "packaged.yaml"
    command: list[str | Path] = [
        *("package", "--template-file", built),
        *("--s3-bucket", bucket, "--output-template-file", packaged),
    ]
    run_sam(config, command)
    return packaged.read_text()


def run_sam(config: Config, command: list[str | Path]) -> None:
    """Run the sam command of this environment, talking to this stack only."""
    environment = config.child_environment() | {"SAM_CLI_TELEMETRY": "0"}
    # sam looks on PATH for the interpreter that Runtime names, with pip: the private one has it.
    environment["PATH"] = f"{config.environment / 'bin'}:{environment.get('PATH', '')}"
    run_tool(
        f"sam {command[0]}",
        [Path(sys.executable).with_name("sam"), *command],
        cwd=config.root,
        environment=environment,
        log=config.state / "sam.log",
    )
