"""Compaction of matplotlib's vector graphics, so that a page can hold hundreds of them."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple
from xml.etree import ElementTree as ET

SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
PATH, GROUP, DEFS, USE, STYLE, METADATA = (
    f"{{{SVG}}}{name}" for name in ("path", "g", "defs", "use", "style", "metadata")
)
# Fixed salt, so that matplotlib gives its clip paths the same names each time.
SALT = "genomix"
# Text is drawn by the browser: Verdana is as wide as DejaVu Sans, others are narrower.
FONTS = "text{font-family:'DejaVu Sans',Verdana,sans-serif}"
FAMILY = re.compile(r"font-family: [^;]*;? ?")
NO_TURN = re.compile(r"rotate\(-?0 [^)]*\)")
# Path data as written by matplotlib; joined bars also have ``h`` and ``v``.
OUTLINE = re.compile(r"[MLQCz\s\d.-]+")
STEP = re.compile(r"([MLQCz])([^MLQCz]*)")
BAR = re.compile(r"M (\S+) (\S+)\s+L (\S+) \2\s+L \3 (\S+)\s+L \1 \4\s+z\s*")
# Attributes in points, for which two decimals suffice.
PLACES = ("x", "y", "width", "height")
# Recurring outlines are defined once on a square of this size, if longer than a reference.
SQUARE, LONG = 10, 60


class Step(NamedTuple):
    """A step of an outline: ``M``, ``L``, ``Q``, ``C`` or ``z``, and its points ``[n, 2]``."""

    kind: str
    points: tuple[tuple[float, float], ...]


def vector(figure: Any) -> bytes:
    """Return a figure of matplotlib as a small SVG; the same figure gives the same bytes.

    Parameters
    ----------
    figure : Figure

    Returns
    -------
    bytes
        SVG with text as text, not as outlines of letters; see :func:`compact`.
    """
    import matplotlib

    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": SALT, "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return compact(buffer.getvalue())


def compact(svg: bytes) -> bytes:
    """Return a smaller SVG that looks the same as matplotlib's.

    Metadata, comments, unreferenced names, groups without attributes, and digits beyond a hundredth
    of a point are removed. Bars of the same style become one outline, and an outline that recurs in
    other sizes, such as a letter of a logo, is defined once.
    """
    ET.register_namespace("", SVG)
    ET.register_namespace("xlink", XLINK)
    root = ET.fromstring(svg)
    used = set(re.findall(r"#([\w-]+)", svg.decode()))
    for element in root.iter():
        _trim(element, used)
    root[:] = [each for child in root if child.tag != METADATA for each in _flat(child)]
    _clip_together(root)
    _join_bars(root)
    _share(root)
    style = ET.Element(STYLE)
    style.text = FONTS
    root.insert(0, style)
    return ET.tostring(root, encoding="utf-8")


def _trim(element: ET.Element, used: set[str]) -> None:
    """Remove the invisible parts of an element."""
    element.text, element.tail = (element.text or "").strip(), None
    if element.get("id") not in used:
        element.attrib.pop("id", None)
    for name in PLACES:
        if re.fullmatch(r"-?\d+\.\d+", element.get(name, "")):
            element.set(name, _short(float(element.attrib[name])))
    if NO_TURN.fullmatch(element.get("transform", "")):
        del element.attrib["transform"]
    if "style" in element.attrib:
        element.set("style", FAMILY.sub("", element.attrib["style"]).rstrip("; "))


def _flat(element: ET.Element) -> list[ET.Element]:
    """Return an element, or its children if it is a group without attributes."""
    element[:] = [each for child in element for each in _flat(child)]
    return list(element) if element.tag == GROUP and not element.attrib else [element]


def _clip_together(root: ET.Element) -> None:
    """Put neighbours with the same clip path into one group that has it."""
    kept: list[ET.Element] = []
    for child in root:
        # A clip path is in the coordinates of the element that it clips.
        clip = None if "transform" in child.attrib else child.attrib.pop("clip-path", None)
        if clip is None:
            kept.append(child)
            continue
        if not kept or kept[-1].tag != GROUP or kept[-1].attrib != {"clip-path": clip}:
            kept.append(ET.Element(GROUP, {"clip-path": clip}))
        kept[-1].append(child)
    root[:] = kept


def _join_bars(parent: ET.Element) -> None:
    """Join neighbouring bars that differ only in position to one outline."""
    kept: list[ET.Element] = []
    look: dict[str, str] | None = None
    for child in parent:
        _join_bars(child)
        bar = BAR.fullmatch(child.get("d", ""))
        same = {name: value for name, value in child.items() if name != "d"}
        if bar is None or "stroke" in child.get("style", ""):
            look = None
            kept.append(child)
            continue
        # Draw all bars in the same direction, so that none is a hole in another.
        x, y = sorted(map(float, bar.group(1, 3))), sorted(map(float, bar.group(2, 4)))
        wide = _short(x[1] - x[0])
        d = f"M{_short(x[0])} {_short(y[0])}h{wide}v{_short(y[1] - y[0])}h-{wide}z"
        if look == same and "opacity" not in same.get("style", ""):
            kept[-1].set("d", kept[-1].attrib["d"] + d)
        else:
            child.set("d", d)
            kept.append(child)
        look = same
    parent[:] = kept


def _share(root: ET.Element) -> None:
    """Write outlines with few digits, and recurring ones as references to one definition."""
    copies: dict[str, list[tuple[ET.Element, str]]] = {}
    for path in root.iter(PATH):
        if not OUTLINE.fullmatch(path.get("d", "")):
            continue
        outline = _parsed(path.attrib["d"])
        path.set("d", _written(outline))
        if len(path.attrib["d"]) > LONG and "stroke" not in path.get("style", ""):
            shape, placed = _on_square(outline)
            copies.setdefault(shape, []).append((path, placed))
    shared = {shape: found for shape, found in copies.items() if len(found) > 1}
    if not shared:
        return
    defined = ET.SubElement(root, DEFS)
    for number, (shape, found) in enumerate(shared.items()):
        ET.SubElement(defined, PATH, {"id": f"o{number}", "d": shape})
        for path, placed in found:
            del path.attrib["d"]
            path.tag = USE
            path.attrib |= {f"{{{XLINK}}}href": f"#o{number}", "transform": placed}


def _parsed(d: str) -> list[Step]:
    """Return the steps of an outline."""
    found = []
    for kind, numbers in STEP.findall(d):
        values = list(map(float, numbers.split()))
        found.append(Step(kind, tuple(zip(values[::2], values[1::2], strict=True))))
    return found


def _written(outline: Iterable[Step]) -> str:
    """Return an outline in relative steps, which have fewer digits than absolute positions."""
    words = ""
    here = start = (0.0, 0.0)
    for kind, points in outline:
        near = [(round(x, 2), round(y, 2)) for x, y in points]
        words += kind.lower()
        words += " ".join(f"{_short(x - here[0])} {_short(y - here[1])}" for x, y in near)
        # A closed outline ends where it began.
        here = near[-1] if near else start
        start = here if kind == "M" else start
    return words.replace(" -", "-")


def _on_square(outline: Sequence[Step]) -> tuple[str, str]:
    """Return an outline on a square of a fixed size, and the transform that puts it in place."""
    points = [point for step in outline for point in step.points]
    (left, top), (right, bottom) = (
        tuple(map(end, zip(*points, strict=True))) for end in (min, max)
    )
    wide, high = (right - left) / SQUARE or 1.0, (bottom - top) / SQUARE or 1.0
    square = [
        Step(kind, tuple(((x - left) / wide, (y - top) / high) for x, y in points))
        for kind, points in outline
    ]
    places = f"{_short(wide, 4)} 0 0 {_short(high, 4)} {_short(left)} {_short(top)}"
    return _written(square), f"matrix({places})"


def _short(value: float, digits: int = 2) -> str:
    """Return a number without invisible digits."""
    text = f"{value:.{digits}f}".rstrip("0").rstrip(".")
    return re.sub(r"^(-?)0\.", r"\1.", text) if text != "-0" else "0"
