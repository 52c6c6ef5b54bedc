"""All outbound HTTP goes through one client: no other module can open a connection."""

import ast
from collections.abc import Callable, Iterator

import pytest
from tests.support.aws import ROOT

SOURCES = [ROOT / "layers/millrace/python/millrace", ROOT / "functions"]
THE_CLIENT = {"connectors/transport.py", "connectors/dialing.py"}

OPENS_CONNECTIONS = {
    *("aiohttp", "asyncio", "ftplib", "http.client", "httpx", "imaplib", "poplib", "requests"),
    *("smtplib", "socket", "socketserver", "ssl", "telnetlib", "urllib.request", "urllib3"),
    *("websockets", "xmlrpc", "importlib", "multiprocessing", "subprocess"),
}
HARMLESS = {"urllib3.util.parse_url", "urllib3.util.Url"}
"""They read addresses; as does all of `urllib3.exceptions`, which holds no function."""

MAKES_CLIENTS_OF_AWS = {
    *("boto3", "boto3.client", "boto3.resource", "boto3.Session", "boto3.session"),
    *("botocore.session", "botocore.httpsession", "botocore.endpoint"),
}


def imported(tree: ast.Module) -> Iterator[str]:
    """All that a module imports, anywhere in it, with the names out of their modules."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{each.name}" for each in node.names)


def opens_connections(name: str) -> bool:
    """Whether what is imported can reach another machine."""
    if name in HARMLESS or name.startswith("urllib3.exceptions."):
        return False
    return any(name == each or name.startswith(f"{each}.") for each in OPENS_CONNECTIONS)


def importing(is_wanted: Callable[[str], bool]) -> set[str]:
    """The modules, below their source, that import something of a kind."""
    return {
        str(path.relative_to(source))
        for source in SOURCES
        for path in source.rglob("*.py")
        if any(map(is_wanted, imported(ast.parse(path.read_text()))))
    }


def test_no_other_module_opens_connections() -> None:
    """Who needs HTTP is given an HttpClient, which goes through the transport."""
    assert importing(opens_connections) == THE_CLIENT


def test_only_the_wiring_makes_clients_of_aws() -> None:
    """So that no flow can give one an address of its own."""
    assert importing(lambda name: name in MAKES_CLIENTS_OF_AWS) == {"wiring.py"}


def test_only_who_knows_the_workspace_makes_transports() -> None:
    """It says what is within reach."""
    named = "millrace.connectors.transport.Urllib3Transport"
    makers = {"connectors/registry.py", "connectors/messenger.py"}
    assert importing(lambda name: name == named) == makers


@pytest.mark.parametrize("name", ["urllib3.PoolManager", "socket", "urllib.request.urlopen"])
def test_a_new_import_is_noticed(name: str) -> None:
    """Among them those of parts of a module."""
    assert opens_connections(name)
    module, _, part = name.rpartition(".")
    source = f"from {module} import {part}" if module else f"import {name}"
    assert [*imported(ast.parse(f"def f():\n    {source}\n"))] == [name]
