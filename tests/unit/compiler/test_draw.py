"""Drawings of a flow in the three formats."""

from xml.etree import ElementTree as ET

import pytest

from millrace.compiler import CompileError, Definition, Step, draw

FLOW = Definition(
    (
        Step("a", name='Read "orders" <all>', type="Export"),
        Step("b", depends_on=("a",)),
        Step("gone", depends_on=("b",), is_skipped=True),
        Step("c", depends_on=("a", "gone"), type="Import"),
    )
)


def test_text_shows_rails_from_each_step_to_those_that_wait_for_it() -> None:
    """A terminal shows who waits for whom, without redundant edges or skipped steps."""
    assert draw(FLOW, "text") == (
        '●  Read "orders" <all> (Export)\n●  b (Process)\n●  c (Import)\n'
    )
    stencil = Definition(
        (
            *(Step(name) for name in ("a", "b", "c")),
            Step("x", depends_on=("a", "b")),
            Step("y", depends_on=("a", "b", "c")),
            Step("z", depends_on=("b", "c")),
        )
    )
    assert draw(stencil, "text") == (
        "●        a (Process)\n"
        "│ ●      b (Process)\n"
        "│ │ ●    c (Process)\n"
        "├─┼─│─●  x (Process)\n"
        "●─┼─┤    y (Process)\n"
        "  ●─╯    z (Process)\n"
    )


def test_mermaid_escapes_labels_and_leaves_out_redundant_edges() -> None:
    """The labels survive Mermaid's syntax; a -> c is implied and not drawn."""
    assert draw(FLOW, "mermaid") == (
        "flowchart TD\n"
        '  s0["Read #34;orders#34; #60;all#62;"]\n'
        '  s1["b"]\n'
        '  s2["c"]\n'
        "  s0 --> s1\n"
        "  s1 --> s2\n"
    )


def test_svg_is_well_formed_and_holds_every_step_and_edge() -> None:
    """A box for each enabled step with its full name as title, a path for each edge."""
    root = ET.fromstring(draw(FLOW, "svg"))  # noqa: S314  our own output
    svg = "{http://www.w3.org/2000/svg}"
    assert [title.text for title in root.iter(f"{svg}title")] == [
        'Read "orders" <all>',
        "b",
        "c",
    ]
    assert len(list(root.iter(f"{svg}path"))) == 2


def test_an_unsound_flow_is_not_drawn() -> None:
    """A cycle is explained rather than drawn."""
    with pytest.raises(CompileError, match="cycle"):
        draw(Definition((Step("a", depends_on=("b",)), Step("b", depends_on=("a",)))), "svg")
