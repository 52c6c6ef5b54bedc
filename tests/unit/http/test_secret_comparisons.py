"""What is compared with a secret is compared in constant time: a review that repeats itself."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.support.aws import ROOT

PACKAGE: Final = ROOT / "layers/millrace/python/millrace"

SECRET: Final = re.compile(
    r"secret|signature|signed|hmac|digest|password|credential|presented|api_key|hash", re.IGNORECASE
)
"""Names of what must not be compared byte by byte until the first difference."""

REVIEWED: Final = {
    "connectors/keyed_stages.py: digest in self._seen",
    "connectors/oauth2.py: auth.credentials_in == 'header'",
    "connectors/streamed_answers.py: _digest(passed[0]) != last",
    "domain/authentication.py: part not in SIGNED_PARTS",
    "usecases/addresses.py: header not in scheme.signed_headers",
    "usecases/api_keys.py: before.secrets_version == after.secrets_version",
    "usecases/flow_changes.py: before.secrets_version == keys['secrets_version']",
}
"""Those that compare no secret: what is called so by name, or a digest of what both sides know."""

IN_CONSTANT_TIME: Final = {"domain/signatures.py", "usecases/api_keys.py", "usecases/tokens.py"}
"""The modules that let somebody in by a secret."""


def comparisons() -> Iterator[tuple[str, str]]:
    """Each `==`, `!=`, `in` of something with such a name, by file."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Compare):
                continue
            if not any(isinstance(op, ast.Eq | ast.NotEq | ast.In | ast.NotIn) for op in node.ops):
                continue
            if any(map(_is_secret, [node.left, *node.comparators])):
                yield _name(path), ast.unparse(node)


def _is_secret(node: ast.expr) -> bool:
    names = {
        found.id if isinstance(found, ast.Name) else found.attr
        for found in ast.walk(node)
        if isinstance(found, ast.Name | ast.Attribute)
    }
    return any(map(SECRET.search, names))


def test_s5_secrets_are_compared_in_constant_time() -> None:
    """A new comparison of something secret fails here until somebody has looked at it."""
    found = {f"{file}: {text}" for file, text in comparisons()}
    assert found == REVIEWED
    assert {file for file in map(_name, PACKAGE.rglob("*.py")) if _calls(file)} == IN_CONSTANT_TIME


def _name(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def _calls(file: str) -> bool:
    return "hmac.compare_digest(" in (PACKAGE / file).read_text()
