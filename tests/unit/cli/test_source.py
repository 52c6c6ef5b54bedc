"""Flow files: what is read, what is refused, and where a complaint points."""

from collections.abc import Callable
from pathlib import Path

import pytest

from millrace_cli.errors import CliError
from millrace_cli.source import read_json, read_source, substitute

type Write = Callable[[str, str], Path]

FLOW = """\
# a comment
flows:
  - stableKey: a
    steps:
      - id: one
        type: Export
      - id: two
        dependsOn:
          - one
          - three
"""


def test_yaml_is_read_as_the_document_json_would_be(write: Write) -> None:
    """Plain scalars follow YAML 1.2: only JSON's own words are anything but text."""
    path = write(
        "a.yaml", "a: yes\nb: 2026-01-31\nc: 12:30:00\nd: 017\ne: 1.5e3\nf: ~\ng: [true, {}]\n"
    )
    assert read_source(path).document == {
        "a": "yes",
        "b": "2026-01-31",
        "c": "12:30:00",
        "d": 17,
        "e": 1500.0,
        "f": None,
        "g": [True, {}],
    }


@pytest.mark.parametrize(
    ("pointer", "place"),
    [
        ("/flows/0/steps/1/dependsOn/1", "10:13"),
        ("/flows/0/steps/0/type", "6:15"),
        ("/flows/0/steps/1/dependsOn", "8:9"),
        ("/flows/0/steps/1/type", "7:9"),
        ("/nowhere", "2:1"),
    ],
    ids=["item", "value", "collection-at-its-key", "missing-at-its-parent", "missing-at-the-top"],
)
def test_a_pointer_leads_back_to_line_and_column(write: Write, pointer: str, place: str) -> None:
    """Complaints can be clicked: they name the place in the file that the pointer means."""
    path = write("flow.yaml", FLOW)
    complaint = read_source(path).complain(pointer, "is wrong", "do this")
    assert complaint == f"{path}:{place}: is wrong (do this)"


def test_keys_with_slashes_and_tildes_are_found(write: Write) -> None:
    """Pointers escape / and ~ as RFC 6901 says."""
    path = write("a.yaml", "a/b:\n  c~d: 1\n")
    assert read_source(path).complain("/a~1b/c~0d", "here").startswith(f"{path}:2:8:")


def test_json_is_read_with_positions_too(write: Write) -> None:
    """A JSON file gets the same complaints as a YAML file."""
    path = write("flow.json", '{\n  "steps": [\n    {"id": "a"}\n  ]\n}\n')
    source = read_source(path)
    assert source.document == {"steps": [{"id": "a"}]}
    assert source.complain("/steps/0/id", "here").startswith(f"{path}:3:12:")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a: !!python/name:os.system x", "1:4: tag tag:yaml.org,2002:python/name:os.system"),
        ("a: &x 1\nb: *x", "1:4: anchor &x is not allowed (write the value where it is used)"),
        ("a: 1\n---\nb: 2", "2:1: a second document is not allowed"),
        ("a: 1\na: 2", "2:1: the key 'a' stands twice (remove one of them)"),
        ("a: .nan", "1:4: .nan is not a JSON number"),
        ("a: [1", "1:6: not YAML"),
        ("a:\n\t- b", "2:1: not YAML"),
        ("? [a]\n: 1", "1:3: a key must be text"),
        (f"a: {'9' * 5000}", "1:4: a number of 5000 digits"),
    ],
    ids=["tag", "anchor", "documents", "duplicate", "nan", "syntax", "tab", "key", "digits"],
)
def test_what_json_cannot_say_is_refused_with_its_place(
    write: Write, text: str, complaint: str
) -> None:
    """Nothing in a file can run code, hide, or be read differently by the API."""
    path = write("a.yaml", text)
    with pytest.raises(CliError) as caught:
        read_source(path)
    assert f"{path}:{complaint}" in str(caught.value)


LAUGHS = "l0: &l0 lol\n" + "\n".join(
    f"l{level}: &l{level} [{', '.join([f'*l{level - 1}'] * 10)}]" for level in range(1, 30)
)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (LAUGHS, "anchor &l0"),
        ("a: &a [*a]", "anchor &a"),
        ("a: &a {b: 1}\nc: {<<: *a}", "anchor &a"),
        ("a: !!python/object/apply:os.system [touch FILE]", "tag"),
        ("a: !!python/object/new:os.system [touch FILE]", "tag"),
        ("a: !include SECRET", "tag !include"),
        ("a: !!binary Y2FuYXJ5", "tag"),
    ],
    ids=["billion laughs", "a circle", "merge", "apply", "new", "include", "binary"],
)
def test_p6_yaml_that_does_more_than_json_is_refused(
    write: Write, tmp_path: Path, text: str, word: str
) -> None:
    """Nothing swells, nothing runs, and no other file is read."""
    made, secret = tmp_path / "made", tmp_path / "secret"
    secret.write_text("canary")
    path = write("a.yaml", text.replace("FILE", str(made)).replace("SECRET", str(secret)))
    with pytest.raises(CliError, match=f"{word}.* is not allowed") as caught:
        read_source(path)
    assert "canary" not in str(caught.value)
    assert not made.exists()


def test_all_refusals_are_named_at_once(write: Write) -> None:
    """One round of corrections is enough."""
    with pytest.raises(CliError) as caught:
        read_source(write("a.yaml", "a: &x 1\nb: *x\nc: !t 2"))
    assert len(caught.value.lines) == 3


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.yaml", "", "is empty"),
        ("a.yaml", "[" * 5000, "nested too deeply"),
        ("a.json", "[" * 100_000, "nested too deeply"),
        ("a.json", "[" * 500 + "]" * 500, "nested too deeply"),
        ("a.json", '{"a": 1,}', "1:8: not JSON"),
        ("a.json", '{"a": 1, "a": 2}', "the key 'a' stands twice"),
        ("a.json", '{"a": NaN}', "NaN is not a JSON value"),
        ("a.yaml", "a: \x00", "not YAML"),
    ],
    ids=["empty", "deep-yaml", "deep-json", "deep", "comma", "duplicate", "nan", "control"],
)
def test_hopeless_files_give_one_line(write: Write, name: str, text: str, message: str) -> None:
    """Whatever a file holds, the answer is a line and not a traceback."""
    with pytest.raises(CliError) as caught:
        read_source(write(name, text))
    assert message in str(caught.value)
    assert len(caught.value.lines) == 1


def test_a_file_that_is_not_there_or_not_text_is_named(tmp_path: Path) -> None:
    """The message names the file and the reason."""
    with pytest.raises(CliError, match="No such file"):
        read_source(tmp_path / "none.yaml")
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CliError, match="not UTF-8"):
        read_source(binary)


def test_names_in_values_are_replaced_from_the_environment(write: Write) -> None:
    """Values are replaced wherever they stand, keys are not, and defaults fill gaps."""
    path = write("a.yaml", "${A}: ${A}\nb: ['x-${A}-${B:-two}-${C:-}']\nc: $A and ${A}${A}\n")
    assert substitute(read_source(path), {"A": "one"}).document == {
        "${A}": "one",
        "b": ["x-one-two-"],
        "c": "$A and oneone",
    }


def test_a_replacement_cannot_change_the_shape_of_the_document(write: Write) -> None:
    """A value from the environment stays one string whatever it holds."""
    hostile = "x\nadmin: true # ${B}"
    path = write("a.yaml", "a: ${A}\n")
    assert substitute(read_source(path), {"A": hostile}).document == {"a": hostile}


def test_names_that_are_not_set_are_all_listed_with_their_lines(write: Write) -> None:
    """An unset name is an error before anything is sent."""
    path = write("a.yaml", "a: ${FIRST}\nb:\n  - ${SECOND} ${3}\n")
    with pytest.raises(CliError) as caught:
        substitute(read_source(path), {})
    assert caught.value.lines == (
        f"{path}:1:4: environment variable FIRST is not set (export FIRST=... and try again)",
        f"{path}:3:5: environment variable SECOND is not set (export SECOND=... and try again)",
        f"{path}:3:5: ${{3}} is not a name (write ${{NAME}} or ${{NAME:-default}})",
    )


def test_a_payload_file_must_be_json(write: Write) -> None:
    """A payload is JSON, and a mistake in it has a place."""
    assert read_json(write("p.json", "[1]")) == [1]
    with pytest.raises(CliError, match=r"p\.json:1:2: not JSON"):
        read_json(write("p.json", "{a: 1}"))
