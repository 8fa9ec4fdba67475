"""Commands run in forked copies of this process, which has imported everything, under limits."""

from __future__ import annotations

import os
import resource
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

SECONDS = 20
GIB = 1 << 30
MEMORY = 4 * GIB
BUG = 70


class Outcome(NamedTuple):
    """Exit code, output and messages of a command.

    `code` is the exit code, negative for a signal; `peak` the bytes it took beyond its start.
    """

    code: int
    out: str
    err: str
    peak: int

    @property
    def fault(self) -> str:
        """Return what went wrong that must not; empty if nothing did."""
        if -self.code in (signal.SIGALRM, signal.SIGXCPU, signal.SIGKILL):
            return f"still ran after {SECONDS} s"
        if self.code < 0:
            return f"killed by {signal.Signals(-self.code).name}"
        if "Traceback (most recent call last)" in self.err + self.out:
            return "traceback"
        if self.peak > MEMORY:
            return f"took {self.peak / GIB:.1f} GiB"
        if self.code and "genomix: error: " not in self.err and "Usage" not in self.err:
            return f"exit code {self.code} without a word"
        return ""


def run(arguments: Sequence[str], folder: Path) -> Outcome:
    """Run ``genomix ARGUMENTS`` in `folder`, in a process of its own."""
    streams = folder / "stdout", folder / "stderr"
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if not child:
        _child(arguments, folder, streams)
    _, status, usage = os.wait4(child, 0)
    start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    texts = (path.read_bytes().decode("utf-8", "surrogateescape") for path in streams)
    peak = max(usage.ru_maxrss - start, 0) * 1024
    return Outcome(os.waitstatus_to_exitcode(status), *texts, peak)


def _child(arguments: Sequence[str], folder: Path, streams: Sequence[Path]) -> None:
    code: object = BUG
    try:
        for number, path in enumerate(streams, 1):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        sys.stdout, sys.stderr = (os.fdopen(n, "w", 1, "utf-8", closefd=False) for n in (1, 2))
        os.chdir(folder)
        sys.argv = ["genomix", *arguments]
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + MEMORY + GIB // 2
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
        # Of waiting, which a busy machine makes long.
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(10 * SECONDS)
        from genomix_cli.cli.main import main

        main()
    except SystemExit as stop:
        code = stop.code or 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else BUG)
