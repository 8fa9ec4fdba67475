"""Print statistics of the code: size, functions, import cycles, help, and files per task.

    python benchmarks/house.py [--no-walks]

A code line is neither blank, nor a comment, nor part of a docstring. Imports inside functions count
as imports; imports only for types do not. A walk is the number of files of the package in which a
small task executes a function; code that runs only at import does not count.
"""

from __future__ import annotations

import argparse
import ast
import json
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "genomix_cli"
DEMO = ROOT / "test_data"
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
STARTS = 5


class Lines(NamedTuple):
    """Number of lines of each kind."""

    code: int
    docstring: int
    comment: int


def modules() -> dict[str, Path]:
    """Return name and path of every module of the package."""
    named = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        named[name.removesuffix(".__init__")] = path
    return named


def count_lines(source: str) -> Lines:
    """Count the lines of a source, without blank lines outside docstrings."""
    inside: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            text = node.body[0]
            inside.update(range(text.lineno, (text.end_lineno or text.lineno) + 1))
    rest = [line.strip() for i, line in enumerate(source.split("\n"), 1) if i not in inside]
    comments = sum(line.startswith("#") for line in rest)
    return Lines(sum(map(bool, rest)) - comments, len(inside), comments)


def functions() -> dict[str, int]:
    """Return the lines of each function, without decorators, by ``module:line name``."""
    return {
        f"{name}:{node.lineno} {node.name}": (node.end_lineno or node.lineno) - node.lineno + 1
        for name, path in modules().items()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    }


def imports() -> dict[str, set[str]]:
    """Return the modules that each module imports, at its top or inside a function."""
    names = modules()
    return {
        name: {target for target in _imported(path) if target in names and target != name}
        for name, path in names.items()
    }


def _imported(path: Path) -> Iterator[str]:
    waiting: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    names = modules()
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            waiting += node.orelse
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in names else node.module
        waiting += ast.iter_child_nodes(node)


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Return the sets of modules that import one another, each sorted."""
    reach = {name: _reachable(graph, name) for name in graph}
    groups = {
        frozenset(other for other in reach[name] if name in reach[other])
        for name in graph
        if name in reach[name]
    }
    return sorted(sorted(group) for group in groups)


def _reachable(graph: dict[str, set[str]], start: str) -> set[str]:
    """Return the modules that `start` imports, directly or not; itself only in a cycle."""
    reached: set[str] = set()
    waiting = list(graph[start])
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += graph[name]
    return reached


def help_of(*words: str) -> tuple[int, float]:
    """Return the lines of a command's help at 80 columns, and CPU seconds of its fastest start."""
    environment = {"COLUMNS": "80", "TERMINAL_WIDTH": "80", "PATH": "/usr/bin:/bin", "HOME": "/tmp"}
    command = [sys.executable, "-m", "genomix_cli", *words, "--help"]
    taken = []
    for _ in range(STARTS):
        begun = _seconds_of_commands()
        process = subprocess.run(
            command, capture_output=True, text=True, cwd=ROOT, env=environment, check=True
        )
        taken.append(_seconds_of_commands() - begun)
    return len(process.stdout.splitlines()), min(taken)


def _seconds_of_commands() -> float:
    """Return the CPU time of child processes, which a busy machine affects less than wall time."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


_WALK = """
import inspect, json, sys, threading
package, sys.argv = sys.argv[1], ["genomix", *sys.argv[2:]]
entered = set()
def enter(frame, event, _):
    # Bodies of modules and classes, which an import runs, are not optimised code.
    if event == "call" and frame.f_code.co_flags & inspect.CO_OPTIMIZED:
        entered.add(frame.f_code.co_filename)
threading.setprofile(enter)
sys.setprofile(enter)
from genomix_cli.cli.main import main
try:
    main()
    code = 0
except SystemExit as end:
    code = end.code
sys.setprofile(None)
json.dump([code, sorted(f for f in entered if f.startswith(package))], open("walk.json", "w"))
"""


def walk(folder: Path, *arguments: str) -> list[str]:
    """Return the files of the package in which a command executes a function.

    Raises
    ------
    RuntimeError
        If the command fails.
    """
    process = subprocess.run(
        [sys.executable, "-c", _WALK, str(PACKAGE), *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": "/tmp"},
    )
    result = folder / "walk.json"
    code, files = json.loads(result.read_text()) if result.exists() else (None, [])
    if process.returncode or code:
        raise RuntimeError(f"{' '.join(arguments)}: {process.stderr}")
    return [str(Path(file).relative_to(PACKAGE)) for file in files]


def walks() -> dict[str, list[str]]:
    """Return the files used to score one variant, and to prepare a tiny table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "one.vcf").write_text(_first_variant())
        # A cohort with a label needs at least two classes.
        (folder / "expression.tsv").write_text("sample\tTP53\tMYC\ns1\t1.5\t2\ns2\t0\t4\n")
        (folder / "clinical.tsv").write_text("sample\tclass\ns1\ttumour\ns2\tnormal\n")
        config = ["--config", str(DEMO / "genomix.toml")]
        table = ["--modality", "expression=expression.tsv", "--clinical", "clinical.tsv"]
        return {
            "one variant through score": walk(
                folder, "score", "one.vcf", *config, "-o", "scored.vcf"
            ),
            "a table through prepare cohort": walk(
                folder, "prepare", "cohort", *table, "--label", "class", "-o", "cohort.h5mu"
            ),
        }


def _first_variant() -> str:
    import pysam

    with pysam.VariantFile(str(DEMO / "variants.vcf.gz")) as file:
        return str(file.header) + str(next(iter(file)))


def size() -> str:
    """Return the statistics of the sources, one per line."""
    counts = [count_lines(path.read_text(encoding="utf-8")) for path in modules().values()]
    total = Lines(*map(sum, zip(*counts, strict=True)))
    lengths = functions()
    sizes = sorted(lengths.values())
    longest = max(lengths, key=lengths.__getitem__)
    return "\n".join(
        [
            f"files                        {len(counts):,}",
            f"code lines                   {total.code:,}",
            f"docstring lines              {total.docstring:,}",
            f"comments per 100 code lines  {100 * total.comment / total.code:.1f}",
            f"functions                    {len(sizes):,}: median {statistics.median(sizes):.0f}, "
            f"p90 {sizes[int(0.9 * len(sizes))]}, max {sizes[-1]} ({longest})",
            f"circles of imports           {len(circles(imports()))}",
        ]
    )


def main() -> None:
    """Print the statistics."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--no-walks", action="store_true", help="leave out what runs commands")
    options = parser.parse_args()
    print(size())
    for circle in circles(imports()):
        print("  " + " ".join(circle))
    for words in ((), ("train",)):
        lines, seconds = help_of(*words)
        command = " ".join(("genomix", *words, "--help"))
        print(f"{command:<28} {lines} lines, {seconds:.2f} s")
    if not options.no_walks:
        for name, files in walks().items():
            print(f"{name:<31} {len(files)} files")


if __name__ == "__main__":
    main()
