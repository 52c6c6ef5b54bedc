"""Draws a flow's graph for people: in a terminal, in Markdown, on a page."""

from collections.abc import Iterator
from typing import Literal
from xml.sax.saxutils import escape

from millrace.compiler.graph import Graph, bits, build_graph
from millrace.compiler.model import CompileError, Definition, Step
from millrace.compiler.rules import check

_BOX_WIDTH, _BOX_HEIGHT, _GAP_X, _GAP_Y, _MARGIN = 168, 44, 32, 48, 16
_FILLS = {"Export": "#d7ebff", "Process": "#eeeeee", "Import": "#dff5e1", "Flow": "#fdebd0"}
_LABEL_LIMIT = 22


def draw(definition: Definition, format: Literal["mermaid", "svg", "text"]) -> str:  # noqa: A002  the command line's word
    """The graph of the enabled steps with its redundant edges left out, layer by layer.

    Raises CompileError for a flow whose graph is not sound.
    """
    findings = check(definition)
    if findings:
        raise CompileError(findings)
    graph = build_graph(definition.steps)
    if format == "mermaid":
        return "\n".join(_mermaid(graph)) + "\n"
    if format == "svg":
        return "\n".join(_svg(graph)) + "\n"
    return "\n".join(_text(graph)) + "\n"


def _layers(graph: Graph) -> list[list[int]]:
    """Steps by the longest way from a start, each layer ordered near what it waits for."""
    depth: list[int] = []
    for mask in graph.waits_for:
        depth.append(1 + max((depth[earlier] for earlier in bits(mask)), default=-1))
    layers: list[list[int]] = [[] for _ in range(max(depth) + 1)]
    place: dict[int, float] = {}
    for step, layer in enumerate(depth):
        layers[layer].append(step)
    for layer_steps in layers:
        centre = {
            step: sum(place[e] for e in bits(graph.waits_for[step]))
            / max(1, graph.waits_for[step].bit_count())
            for step in layer_steps
        }
        layer_steps.sort(key=lambda step: (centre[step], step))
        place.update({step: float(position) for position, step in enumerate(layer_steps)})
    return layers


def _mermaid(graph: Graph) -> Iterator[str]:
    yield "flowchart TD"
    for index, step in enumerate(graph.steps):
        yield f'  s{index}["{_entities(step.label)}"]'
    for index, mask in enumerate(graph.waits_for):
        for earlier in bits(mask):
            yield f"  s{earlier} --> s{index}"


def _entities(text: str) -> str:
    """Text inside a Mermaid label, where only letters, digits and spaces are safe as they stand."""
    return "".join(c if c.isalnum() or c in " -_.,()" else f"#{ord(c)};" for c in text)


def _svg(graph: Graph) -> Iterator[str]:
    layers = _layers(graph)
    widest = max(map(len, layers))
    width = 2 * _MARGIN + widest * _BOX_WIDTH + (widest - 1) * _GAP_X
    height = 2 * _MARGIN + len(layers) * _BOX_HEIGHT + (len(layers) - 1) * _GAP_Y
    corner: dict[int, tuple[float, float]] = {}
    for row, layer in enumerate(layers):
        used = len(layer) * _BOX_WIDTH + (len(layer) - 1) * _GAP_X
        for column, step in enumerate(layer):
            x = (width - used) / 2 + column * (_BOX_WIDTH + _GAP_X)
            corner[step] = (x, _MARGIN + row * (_BOX_HEIGHT + _GAP_Y))
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"'
        f' width="{width}" height="{height}" font-family="sans-serif" font-size="13">'
    )
    for step, mask in enumerate(graph.waits_for):
        for earlier in bits(mask):
            yield _curve(corner[earlier], corner[step])
    for index, drawn in enumerate(graph.steps):
        yield from _box(drawn, *corner[index])
    yield "</svg>"


def _curve(start: tuple[float, float], end: tuple[float, float]) -> str:
    x1, y1 = start[0] + _BOX_WIDTH / 2, start[1] + _BOX_HEIGHT
    x2, y2 = end[0] + _BOX_WIDTH / 2, end[1]
    bend = (y1 + y2) / 2
    return (
        f'<path d="M{x1:g} {y1:g}C{x1:g} {bend:g} {x2:g} {bend:g} {x2:g} {y2:g}"'
        ' fill="none" stroke="#888"/>'
    )


def _box(step: Step, x: float, y: float) -> Iterator[str]:
    yield f"<g><title>{escape(step.label)}</title>"
    yield (
        f'<rect x="{x:g}" y="{y:g}" width="{_BOX_WIDTH}" height="{_BOX_HEIGHT}" rx="6"'
        f' fill="{_FILLS[step.type]}" stroke="#555"/>'
    )
    yield (
        f'<text x="{x + _BOX_WIDTH / 2:g}" y="{y + _BOX_HEIGHT / 2 + 4:g}"'
        f' text-anchor="middle">{escape(_short(step.label))}</text></g>'
    )


def _short(label: str) -> str:
    return label if len(label) <= _LABEL_LIMIT else label[: _LABEL_LIMIT - 1] + "…"


def _text(graph: Graph) -> Iterator[str]:
    """One line a step, beside rails that lead from each step to those that wait for it."""
    rails: list[int | None] = []
    waiting = [mask.bit_count() for mask in graph.followed_by]
    rows = []
    for step, mask in enumerate(graph.waits_for):
        for earlier in bits(mask):
            waiting[earlier] -= 1
        joined = {i: r for i, r in enumerate(rails) if r is not None and mask >> r & 1}
        ended = [i for i, rail in joined.items() if waiting[rail] == 0]
        free = [i for i, rail in enumerate(rails) if rail is None]
        here = [*ended, *free, len(rails)][0]
        if here == len(rails):
            rails.append(None)
        rows.append(_row(rails, here, list(joined), ended))
        for i in ended:
            rails[i] = None
        rails[here] = step if waiting[step] else None
    width = max(map(len, rows))
    for drawn, row in zip(graph.steps, rows, strict=True):
        yield f"{row:{width}}  {drawn.label} ({drawn.type})"


def _row(rails: list[int | None], here: int, joined: list[int], ended: list[int]) -> str:
    """A step's dot, the rails that join it, and those that pass by."""
    low, high = min([here, *joined]), max([here, *joined])
    cells = []
    for i, rail in enumerate(rails):
        if i == here:
            cell = "●"
        elif i in joined:
            cell = _JOINTS[i in ended][(i > low) + (i == high)]
        elif rail is not None:
            cell = "│"
        else:
            cell = "─" if low < i < high else " "
        cells.append(cell + ("─" if low <= i < high else " "))
    return "".join(cells).rstrip()


# For a rail that goes on, and one that ends: at the left, in the middle, at the right.
_JOINTS = ("├┼┤", "╰┴╯")
