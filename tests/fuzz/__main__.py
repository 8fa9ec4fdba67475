"""``python -m tests.fuzz [CASES] [FIRST]``: try so many cases, and print each fault."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.fuzz import cases, corpus

if __name__ == "__main__":
    count, first = (int(word) for word in (*sys.argv[1:], "200", "0")[:2])
    corpus.preload()
    with tempfile.TemporaryDirectory() as folder:
        built = corpus.build(Path(folder))
        for number in range(first, first + count):
            if fault := cases.try_case(number, built):
                print(fault, flush=True)
