"""Progress of long work on stderr: a bar on a terminal, log lines elsewhere, nothing if quiet.

Nothing is shown in the first two seconds. No thread runs in the background: a bar moves when an
item is done, at the cost of reading the clock.
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
# Clock in seconds; tests replace it.
now = time.monotonic


class Progress:
    """Counter of finished items, shown while the work goes on.

    Parameters
    ----------
    what : str
        Name of the work, such as ``"scoring"``.
    total : float, optional
        Number of items, if known.
    unit : str
        Name of the items.
    done : float
        Items finished by an earlier run.
    shown : bool

    Attributes
    ----------
    note : str
        Text shown beside the count, such as the position reached.
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
        """Add finished items."""
        self.reach(self._done + items)

    def reach(self, done: float) -> None:
        """Set the number of finished items."""
        self._done = done
        if now() >= self._next:
            self._show()

    def close(self) -> None:
        """Remove the bar from the terminal."""
        if self._bars is not None:
            self._bars.remove(self._bar)
            self._bars = None
        self._next = float("inf")

    def text(self) -> str:
        """Return text such as ``12 of 40 windows, 3.1 per second, 0:09 left``."""
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
    """Yield `items`, showing progress.

    Parameters
    ----------
    items : iterable
    description : str
        Name of the work, such as ``"binning ATAC"``.
    total : int, optional
        Number of items, if `items` has no length.
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
    """Return the console of stderr, shared by bars and log lines so that they do not collide."""
    from rich.console import Console

    return Console(stderr=True)


def clear() -> None:
    """Remove all bars from the terminal, before an error message."""
    _Bars.end()


class _Bars:
    """Bars on the terminal, one below the other."""

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
            # Leave stdout alone, since it may carry data.
            redirect_stdout=False,
            redirect_stderr=False,
        )

    @classmethod
    def shared(cls) -> _Bars:
        """Return the instance of this process."""
        if cls._one is None:
            cls._one = cls()
        return cls._one

    def add(self, what: str, **state: Any) -> Any:
        if not self._progress.tasks:
            self._progress.start()
            # Rich hides the cursor, and a killed run would leave it hidden.
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
        """Remove all bars from the terminal."""
        if cls._one is not None:
            cls._one._progress.stop()
            cls._one = None


def _is_terminal() -> bool:
    return sys.stderr.isatty()


def _duration(seconds: float) -> str:
    """Return a duration such as ``0:09`` or ``1:02:09``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
