"""Progress of long work on stderr: a bar on a terminal, log lines elsewhere, nothing when quiet.

Nothing is shown in the first two seconds. Nothing runs beside the work: a bar moves when an item
is done, and looking at the clock is all that it costs.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterable, Iterator, Sized
from functools import cache
from types import TracebackType
from typing import Any, TypeVar

from genomix_cli.errors import printable

T = TypeVar("T")

log = logging.getLogger("genomix")

LOG_EVERY_SECONDS = 30.0
SHOW_AFTER_SECONDS = 2.0
DRAW_EVERY_SECONDS = 0.1
# Seconds since some start; a test has its own.
now = time.monotonic


class Progress:
    """Count of items that are done, shown as the work goes on.

    Parameters
    ----------
    what : str
        What is being done, as ``"scoring"``.
    total : float, optional
        Number of items, where it is known.
    unit : str
        Name of the items.
    done : float
        Items of an earlier run.
    shown : bool

    Attributes
    ----------
    note : str
        What is said beside it: the place that has been reached.
    """

    def __init__(
        self,
        what: str,
        total: float | None = None,
        unit: str = "",
        *,
        done: float = 0,
        shown: bool = True,
    ) -> None:
        self.note = ""
        self._what, self._total, self._unit = printable(what), total, unit
        self._done = self._before = done
        self._started = now()
        self._bars: _Bars | None = None
        self._bar: Any = None
        self._next = self._started + (LOG_EVERY_SECONDS, SHOW_AFTER_SECONDS)[_is_terminal()]
        if not (shown and log.isEnabledFor(logging.INFO)):
            self._next = float("inf")

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self.close()

    def advance(self, items: float = 1) -> None:
        """Count items that are done."""
        self.reach(self._done + items)

    def reach(self, done: float) -> None:
        """Say how many items are done."""
        self._done = done
        if now() >= self._next:
            self._show()

    def close(self) -> None:
        """Take the bar off the terminal."""
        if self._bars is not None:
            self._bars.remove(self._bar)
            self._bars = None
        self._next = float("inf")

    def text(self) -> str:
        """Return ``12 of 40 windows, 3.1 per second, 0:09 left``."""
        count = f"{self._done:,.0f}" + (f" of {self._total:,.0f}" if self._total else "")
        rate = (self._done - self._before) / max(now() - self._started, 1e-9)
        parts = [" ".join(filter(None, (count, self._unit)))]
        if rate:
            parts.append(f"{rate:,.3g} per second" if rate < 100 else f"{rate:,.0f} per second")
        if rate and self._total and self._total >= self._done:
            parts.append(f"{_duration((self._total - self._done) / rate)} left")
        return printable(", ".join([*parts, *filter(None, [self.note])]))

    def _show(self) -> None:
        if not _is_terminal():
            self._next = now() + LOG_EVERY_SECONDS
            log.info("%s: %s", self._what, self.text())
            return
        self._next = now() + DRAW_EVERY_SECONDS
        state = {"total": self._total, "completed": self._done, "text": self.text()}
        if self._bars is None:
            self._bars = _Bars.shared()
            self._bar = self._bars.add(self._what, **state)
        else:
            self._bars.draw(self._bar, **state)


def track(
    items: Iterable[T], description: str, total: int | None = None, unit: str = ""
) -> Iterator[T]:
    """Yield `items`, showing how far it has come.

    Parameters
    ----------
    items : iterable
    description : str
        What is being done, as ``"binning ATAC"``.
    total : int, optional
        Number of items, where `items` does not know it.
    unit : str
        Name of the items.
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    with Progress(description, total, unit) as progress:
        for item in items:
            yield item
            progress.advance()


@cache
def terminal() -> Any:
    """Return the console of stderr, which bars and log lines share: neither cuts the other."""
    from rich.console import Console

    return Console(stderr=True)


def clear() -> None:
    """Take what is shown off the terminal: an error is about to be told."""
    _Bars.end()


class _Bars:
    """The bars that are on the terminal, one below the other."""

    _one: _Bars | None = None

    def __init__(self) -> None:
        from rich.progress import BarColumn, Progress, TextColumn
        from rich.table import Column

        self._progress = Progress(
            TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True)),
            BarColumn(20),
            TextColumn(
                "{task.fields[text]}",
                markup=False,
                table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1),
            ),
            console=terminal(),
            auto_refresh=False,
            transient=True,
            expand=True,
            # Data go to stdout as they are.
            redirect_stdout=False,
            redirect_stderr=False,
        )

    @classmethod
    def shared(cls) -> _Bars:
        """Return the one of this process."""
        if cls._one is None:
            cls._one = cls()
        return cls._one

    def add(self, what: str, **state: Any) -> Any:
        if not self._progress.tasks:
            self._progress.start()
            # Rich hides it, and a killed run would leave it so.
            terminal().show_cursor(True)
        return self._progress.add_task(what, **state)

    def draw(self, bar: Any, **state: Any) -> None:
        self._progress.update(bar, refresh=True, **state)

    def remove(self, bar: Any) -> None:
        if bar in self._progress.task_ids:
            self._progress.remove_task(bar)
        if not self._progress.tasks:
            self.end()

    @classmethod
    def end(cls) -> None:
        """Take all bars off the terminal."""
        if cls._one is not None:
            cls._one._progress.stop()
            cls._one = None


def _is_terminal() -> bool:
    return sys.stderr.isatty()


def _duration(seconds: float) -> str:
    """``0:09``, ``1:02:09``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
