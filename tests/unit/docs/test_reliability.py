"""docs/reliability.md stays true: each fault has its row, and the tests that it names exist."""

import re

from tests.unit.docs.test_coverage import ROOT, functions

PAGE = (ROOT / "docs/reliability.md").read_text()
ROWS = dict(re.findall(r"^\| ([RPSC]\d+) \|(.*)$", PAGE, re.MULTILINE))


def test_every_test_that_is_named_exists() -> None:
    """And bears the id of its row."""
    for id_, row in ROWS.items():
        named = re.findall(r"`([\w/]+\.py)::(\w+)`", row)
        assert named, id_
        for file, test in named:
            assert test in functions(ROOT / "tests" / file), (id_, test)
            assert test.startswith(f"test_{id_.lower()}_"), (id_, test)


def test_every_promise_names_tests_that_exist() -> None:
    """A promise that nothing shows is none."""
    bullets = re.split(r"^- ", PAGE.partition("## What is not")[0], flags=re.MULTILINE)[1:]
    assert len(bullets) >= 9
    for bullet in bullets:
        named = re.findall(r"`([\w/]+\.py)::(\w+)`", bullet)
        assert named, bullet
        for file, test in named:
            assert test in functions(ROOT / "tests" / file), (bullet, test)


def test_every_fault_with_a_test_has_its_row() -> None:
    """What is shown is told."""
    shown = {
        found[1].upper()
        for path in (ROOT / "tests").rglob("test_*.py")
        for test in functions(path)
        if (found := re.match(r"test_([rpsc]\d+)_", test))
    }
    assert shown == ROWS.keys()
