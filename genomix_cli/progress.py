"""Progress on stderr: a bar on a terminal, log lines elsewhere, nothing when quiet."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

from genomix_cli.errors import printable

T = TypeVar("T")

log = logging.getLogger("genomix")

LOG_EVERY_SECONDS = 30.0


def track(items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """Yield `items`, showing how far it has come.

    Parameters
    ----------
    items : iterable
    description : str
        What is being done, as ``"binning ATAC"``.
    total : int, optional
        Number of items, where `items` does not know it.
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    if not log.isEnabledFor(logging.INFO):
        yield from items
    elif sys.stderr.isatty():
        yield from _bar(items, description, total)
    else:
        yield from _lines(items, description, total)


def _bar(items: Iterable[T], description: str, total: int | None) -> Iterator[T]:
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import track as rich_track

    console, description = Console(stderr=True), escape(printable(description))
    yield from rich_track(items, description, total, console=console, transient=True)


def _lines(items: Iterable[T], description: str, total: int | None) -> Iterator[T]:
    last = time.monotonic()
    for done, item in enumerate(items):
        if time.monotonic() - last > LOG_EVERY_SECONDS:
            last = time.monotonic()
            log.info("%s: %s", description, f"{done:,}" + (f" of {total:,}" if total else ""))
        yield item


class Ticker:
    """Says now and then how far work of unknown length has come.

    On a terminal a line that is written over; elsewhere a log line every 30 seconds; nothing when
    quiet.
    """

    def __init__(self) -> None:
        self._last = time.monotonic()
        self._shown = False

    def tell(self, text: str) -> None:
        """Say `text`, unless that would be too often."""
        if not log.isEnabledFor(logging.INFO):
            return
        now = time.monotonic()
        is_terminal = sys.stderr.isatty()
        if now - self._last < (0.2 if is_terminal else LOG_EVERY_SECONDS):
            return
        self._last = now
        if is_terminal:
            self._shown = True
            sys.stderr.write(f"\r\x1b[2K{printable(text)}")
            sys.stderr.flush()
        else:
            log.info("%s", text)

    def close(self) -> None:
        """Take the line off the terminal."""
        if self._shown:
            sys.stderr.write("\r\x1b[2K")
            sys.stderr.flush()
