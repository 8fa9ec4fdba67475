"""Checks of explanation pages: their content, and their behaviour in a browser."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here")


class Rows(HTMLParser):
    """Parser of a page: cells of the item rows, and sources of images and other resources."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.images: list[str] = []
        self.loaded: list[str] = []
        self.titles: list[str] = []
        self.within = self.tag = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        given = dict(attrs)
        if tag == "tr":
            self.within = given.get("class") or ""
            if self.within == "item":
                self.rows.append([])
        elif tag == "td" and self.within == "item":
            self.rows[-1].append("")
        elif tag == "th":
            self.titles.append("")
        elif tag == "img":
            self.images.append(given["src"])
        elif tag in ("link", "iframe", "script", "use") and (given.get("src") or given.get("href")):
            self.loaded.append(tag)
        self.tag = tag

    def handle_data(self, data: str) -> None:
        if self.within == "item":
            self.rows[-1][-1] += data
        elif self.tag == "th":
            self.titles[-1] += data


PROBE = """
<script>
addEventListener("load", () => {
  const rows = () => [...document.querySelectorAll("tr.item")].filter((row) => !row.hidden);
  const texts = (column) => rows().map((row) => row.cells[column].textContent);
  const head = (column) => document.querySelectorAll(".opening thead th")[column].click();
  const type = (words) => {
    const box = document.querySelector("input");
    box.value = words;
    box.dispatchEvent(new Event("input"));
  };
  const found = { first: texts(0), closed: document.querySelectorAll("tr.detail[hidden]").length };
  head(COLUMN);
  found.descending = texts(COLUMN);
  head(COLUMN);
  found.ascending = texts(COLUMN);
  head(0);
  found.by_place = texts(0);
  type(WORDS);
  found.filtered = texts(0);
  type("");
  rows()[0].cells[1].click();
  const image = document.querySelector("tr.detail:not([hidden]) img");
  const wide = document.querySelector(".opening .wide");
  wide.scrollLeft = 1e6;
  const left = (element) => element.getBoundingClientRect().left;
  const [first, second] = rows()[0].cells;
  found.stays = [wide.scrollLeft > 0, left(first) - left(wide), left(second) < left(wide)];
  image.decode().then(() => {
    const box = image.getBoundingClientRect();
    found.picture = [image.naturalWidth, box.width, box.height];
    const names = performance.getEntriesByType("resource").map((each) => each.name);
    found.requests = names.filter((name) => !name.startsWith("data:"));
    document.body.dataset.found = JSON.stringify(found);
  });
});
</script>
"""


def probed(text: str, folder: Path, *, column: int, words: str) -> dict[str, Any]:
    """Sort by a column, filter by words and open a row in a browser; return what is visible.

    Assert that the page loads no other resource and logs nothing to the console.
    """
    page, given = folder / "probed.html", {"COLUMN": column, "WORDS": words}
    script = PROBE
    for name, value in given.items():
        script = script.replace(name, json.dumps(value))
    page.write_text(text.replace("</body>", f"{script}</body>"))
    ended = subprocess.run(
        [
            *(str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"),
            *(f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=5000"),
            # The size of a phone.
            "--window-size=400,800",
            *("--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr"),
            f"file://{page}",
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert not [line for line in ended.stderr.splitlines() if "CONSOLE" in line]
    told = re.search(r'data-found="([^"]*)"', ended.stdout)
    assert told, ended.stderr
    found: dict[str, Any] = json.loads(told[1].replace("&quot;", '"'))
    # The name of a row stays in place while the rest scrolls beneath it.
    assert found["stays"] == [True, 0, True]
    assert found["requests"] == []
    assert Rows(text).loaded == []
    return found
