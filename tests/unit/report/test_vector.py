"""Small vector graphics: what a browser draws of them, and what is left out."""

from __future__ import annotations

import io
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genomix_cli.report.letters import draw_letter
from genomix_cli.report.vector import compact, vector
from tests.explained_page import CHROMIUM, needs_browser

matplotlib = pytest.importorskip("matplotlib")


def raw(figure: Any) -> bytes:
    """A figure as matplotlib writes it."""
    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "genomix"}):
        figure.savefig(buffer, format="svg")
    return buffer.getvalue()


def logo() -> Any:
    """Letters up and down, bars of both signs, curves, names at an angle, and an image."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 5), layout="constrained")
    letters, bars, lines = figure.subplots(3, 1)
    rng = np.random.default_rng(0)
    for column, height in enumerate(rng.normal(0, 1, 40)):
        draw_letter(letters, "ACGT"[column % 4], column, float(height), 1.0 if column % 5 else 0.4)
    letters.set(xlim=(-1, 20), ylim=(-1, 1))
    bars.bar(range(60), rng.normal(0, 1, 60), color=["#0072B2"] * 30 + ["#D55E00"] * 30, width=1.2)
    bars.bar(range(60), rng.normal(0, 1, 60), color="k", alpha=0.3, width=1.2)
    bars.set(xlim=(3, 50), ylim=(-1, 1))
    lines.plot(np.sin(np.linspace(0, 9, 80)), ls="--")
    lines.imshow(rng.random((3, 80)), aspect="auto", alpha=0.5)
    lines.set_xticks([0, 40], ["a < b", "-0 & 0.5"], rotation=40)
    return figure


def pixels(svg: bytes, folder: Path, name: str) -> Any:
    """Return the pixels that a browser draws."""
    from matplotlib.image import imread

    (folder / f"{name}.svg").write_bytes(svg)
    subprocess.run(
        [
            *(str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu"),
            *(f"--user-data-dir={folder / 'profile'}", "--window-size=640,520"),
            *(f"--screenshot={folder / name}.png", f"file://{folder / name}.svg"),
        ],
        capture_output=True,
        check=True,
        timeout=120,
    )
    return imread(folder / f"{name}.png")[..., :3]


@needs_browser
def test_a_browser_draws_the_same(tmp_path: Path) -> None:
    figure = logo()
    before, after = raw(figure), vector(figure)
    assert len(after) < len(before) / 3
    one, other = pixels(before, tmp_path, "before"), pixels(after, tmp_path, "after")
    assert one.std() > 0.05
    # Edges lie within a hundredth of a point: some of their pixels are a shade lighter.
    away = np.abs(one - other).max(-1)
    assert (away > 0.2).mean() < 1e-3
    assert away.max() < 0.4


def test_what_does_not_show_is_left_out() -> None:
    text = vector(logo()).decode()
    assert not re.search(r"<metadata|<!--|DejaVuSans-", text)
    assert not any(re.search(r"\.\d{3}", d) for d in re.findall(r' [dxy]="([^"]*)"', text))
    assert set(re.findall(r'id="([^"]*)"', text)) == set(re.findall(r'["(]#(\w+)', text))
    assert "a &lt; b" in text


def test_letters_are_defined_once() -> None:
    text = vector(logo()).decode()
    # Four letters, and those that hang.
    shapes = re.findall(r'<path id="(o\d+)"', text)
    assert 4 <= len(shapes) <= 8
    assert all(text.count(f'"#{shape}"') > 1 for shape in shapes)


def drawn(paths: str) -> str:
    return compact(f'<svg xmlns="http://www.w3.org/2000/svg">{paths}</svg>'.encode()).decode()


def bar(x: float, height: float, style: str) -> str:
    d = f"M {x} 10 L {x + 2} 10 L {x + 2} {10 + height} L {x} {10 + height} z"
    return f'<g id="patch"><path d="{d}" style="{style}"/></g>'


def test_bars_of_one_look_are_one_outline_that_runs_one_way_around() -> None:
    text = drawn(bar(1.004, 3, "fill: red") + bar(2, -3, "fill: red") + bar(5, 3, "fill: blue"))
    assert re.findall(r'<path d="([^"]*)" style="([^"]*)"', text) == [
        ("M1 10h2v3h-2zM2 7h2v3h-2z", "fill: red"),
        ("M5 10h2v3h-2z", "fill: blue"),
    ]


@pytest.mark.parametrize("style", ["fill: red; opacity: 0.5", "fill: red; stroke: blue"])
def test_bars_that_show_through_or_have_an_edge_stay_apart(style: str) -> None:
    assert drawn(bar(1, 3, style) + bar(2, 3, style)).count("<path") == 2


def test_the_same_figure_has_the_same_bytes() -> None:
    assert vector(logo()) == vector(logo())


def test_steps_are_from_point_to_point_and_from_the_start_of_what_was_closed() -> None:
    text = drawn('<path d="M 1 1 L 5 2 Q 4 3.004 3 4 z M 2 2 L 3 3 L 2.5 4 z"/>')
    assert 'd="m1 1l4 1q-1 1-2 2zm1 1l1 1l-.5 1z"' in text
