"""Compare the speed of `genomix score` with gReLU and tangermeme, as a Markdown table.

    python benchmarks/peers.py DATA_DIR --grelu-python PY --tangermeme-python PY [-n 24]
        [--genomix-python PY]

DATA_DIR holds chr22.fa.gz, variants.chr22.vcf.gz, tracks/ and contacts/ (hg38). Each tool runs in
its own environment, on one CPU thread, on the same variants, with 100 kb around each:

    python3 -m venv ENV && ENV/bin/pip install torch==2.13.0 gReLU==1.1.0
    python3 -m venv ENV && ENV/bin/pip install torch==2.13.0 tangermeme==1.6.0

The peers run a network of their kind (`peers_network.py`) with as many parameters as GMT mini and a
cheaper pass. They pass every variant through it twice, reference and alternate, as they are
designed to. genomix passes a reference window once, and every variant in it through a few tokens,
so its speed depends on the density of the variants. It is measured at two densities: one variant
per 600 bp (as in a whole genome; made up, fixed seed), and isolated ones (real, at least 100 kb
apart), where each variant costs a window. The peers' cost is the same at any density; they score
`-n` of the dense variants.

The tools take turns, and every number is a median of CPU seconds over rounds, because others may
share the machine (but a pass of genomix is timed by the wall clock). Start-up before the first
variant (imports, loading the model; for genomix, a run of one variant) is excluded and has a column
of its own. Reading sequence, tracks and contacts is included. The table states what differs: the
peers read one-hot bases; genomix reads k-mers, tracks and contacts. The peers' effects are checked
against each other.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from chr22 import inputs
from snvs import SNV, far_apart, made_up, write_vcf

from genomix_cli.genome.fasta import Fasta
from genomix_cli.variants.requests.score import SIMULATED_MODEL

HERE = Path(__file__).parent
CONTIG, START, END, SEED = "chr22", 30_000_000, 31_000_000, 20_261_121
WINDOW = 100_000
DENSE, ISOLATED = "one per 600 bp", "isolated"
#: Additional options of `genomix score` by set of variants: isolated ones get centred windows.
MODE = {DENSE: ["--mode", "shared"], ISOLATED: ["--mode", "centred"]}
#: Batch sizes that the peers may choose from.
BATCHES = (1, 2, 4)
#: Number of variants on which a peer tries each batch size.
TRIAL = 4
#: Tolerated difference between two float32 implementations, relative to the largest effect.
TOLERANCE = 0.01
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
#: Program that reports versions and parameters from the environment that scores.
ABOUT = """
import json, torch
from genomix_cli import __version__
from genomix_cli.variants.trained import load_model
module = load_model("gmt-mini-sim", torch.device("cpu")).module
size = sum(p.numel() for p in module.parameters())
print(json.dumps({"version": __version__, "parameters": size, "torch": torch.__version__}))
"""


@dataclass
class Measured:
    """Measurements of one tool.

    Attributes
    ----------
    about : dict
        ``version``, ``torch`` and ``parameters``.
    reads : str
        Inputs of its network.
    seconds : dict of str to list of float
        Seconds per variant by set of variants, one value per round.
    passes : list of float
        Seconds of one pass over 100 kb, one value per round.
    startup : list of float
    """

    about: dict[str, Any]
    reads: str
    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    passes: list[float] = field(default_factory=list)
    startup: list[float] = field(default_factory=list)


class Genomix:
    """`genomix score`, in one process per run."""

    name = "genomix score"

    def __init__(self, python: str, options: list[str], work: Path) -> None:
        self.python, self.options, self.work = python, options, work
        about = subprocess.run([python, "-c", ABOUT], check=True, capture_output=True, text=True)
        tracks = options.count("--track")
        reads = f"6-mers of {WINDOW:,} bp, {tracks} tracks, contacts"
        self.measured = Measured(json.loads(about.stdout), reads)

    def score(self, name: str, snvs: Sequence[SNV]) -> None:
        """Score a set once and record the times; a run of one variant measures start-up."""
        (few, _), (many, summary) = self._run(name, snvs[:1]), self._run(name, snvs)
        self.measured.seconds[name].append((many - few) / (len(snvs) - 1))
        self.measured.passes.append(summary["seconds"]["trunk"] / summary["windows"])
        self.measured.startup.append(few)

    def _run(self, name: str, snvs: Sequence[SNV]) -> tuple[float, dict[str, Any]]:
        """Return the CPU seconds of a process, and its reported statistics."""
        vcf, stats = self.work / "in.vcf", self.work / "stats.json"
        write_vcf(vcf, snvs)
        command = [self.python, "-m", "genomix_cli", "score", str(vcf), *self.options, *MODE[name]]
        command += ["--model", SIMULATED_MODEL]
        command += ["-o", str(self.work / "out.vcf"), "--threads", "1", "--device", "cpu"]
        start = cpu_seconds()
        subprocess.run([*command, "--stats", str(stats), "-q"], check=True)
        summary = json.loads(stats.read_text())
        if summary["scored"] != len(snvs):
            raise SystemExit(f"genomix scored {summary['scored']} of {len(snvs)} variants")
        return cpu_seconds() - start, summary


def cpu_seconds() -> float:
    """Return CPU seconds of finished child processes."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class Peer:
    """A tool served by its own script in another environment.

    Attributes
    ----------
    effects : dict of str to ndarray
        alt - ref by set of variants, float64 ``[len(set)]``.
    """

    def __init__(self, name: str, script: str, python: str, fasta: Path, work: Path) -> None:
        self.name, self.fasta, self.batch = name, fasta, BATCHES[0]
        self.effects: dict[str, np.ndarray] = {}
        self.log = work / f"{script}.log"
        start = time.perf_counter()
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [python, str(HERE / script)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=work,  # Lightning leaves a folder of logs where it runs
            )
        self.measured = Measured(self._read(), f"one-hot of {WINDOW:,} bp")
        self.measured.startup.append(time.perf_counter() - start)

    def _read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} gave up:\n{self.log.read_text()[-2000:]}")
        return json.loads(line)

    def _ask(self, snvs: Sequence[SNV], batch: int) -> dict[str, Any]:
        assert self.process.stdin is not None
        request = {"fasta": str(self.fasta), "variants": snvs, "batch": batch}
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return self._read()

    def choose_batch(self, snvs: Sequence[SNV]) -> None:
        """Choose the fastest batch size, after a warm-up call."""
        some = snvs[:TRIAL]
        self._ask(some[:1], self.batch)
        spent = {b: min(self._ask(some, b)["seconds"] for _ in range(2)) for b in BATCHES}
        self.batch = min(BATCHES, key=spent.__getitem__)

    def score(self, name: str, snvs: Sequence[SNV]) -> None:
        """Score a set once and record the times."""
        answer = self._ask(snvs, self.batch)
        self.effects[name] = np.array(answer["effects"])
        self.measured.seconds[name].append(answer["seconds"] / len(snvs))
        self.measured.passes.append(answer["pass"])

    def close(self) -> None:
        """End the process."""
        self.process.communicate()


def check(first: Peer, second: Peer) -> str:
    """Check that both peers give the same, non-zero effects."""
    lines = []
    for name, effects in first.effects.items():
        largest = np.abs(effects).max()
        difference = np.abs(effects - second.effects[name]).max()
        if not effects.all() or difference > TOLERANCE * largest:
            raise SystemExit(f"effects of {first.name} and {second.name} differ by {difference}")
        lines.append(
            f"{name}: {len(effects)} effects up to {largest:.2g}, the peers' differ by at most "
            f"{difference:.2g}"
        )
    return "; ".join(lines)


def table(tools: Sequence[Genomix | Peer]) -> str:
    """Return the Markdown table; other tools are compared with the first."""
    base = {name: median(values) for name, values in tools[0].measured.seconds.items()}
    heads = ["tool", "its network reads", "parameters", "one pass, s"]
    heads += [head for name in base for head in (f"{name}, variants/s", "genomix / this")]
    rows = ["| " + " | ".join([*heads, "start-up left out, s"]) + " |"]
    rows.append("|---" * (len(heads) + 1) + "|")
    for tool in tools:
        got = tool.measured
        cells = [f"{tool.name} {got.about['version']}", got.reads, f"{got.about['parameters']:,}"]
        cells.append(f"{median(got.passes):.3f}")
        for name, own in base.items():
            seconds = median(got.seconds[name])
            cells += [f"{1 / seconds:.3g}", f"{seconds / own:.3g}x"]
        rows.append("| " + " | ".join([*cells, f"{median(got.startup):.1f}"]) + " |")
    return "\n".join(rows)


def measure(tools: Sequence[Genomix | Peer], sets: dict[str, list[SNV]], n: int, rounds: int):
    """Measure the tools in turns."""
    for turn in range(rounds):
        for name, snvs in sets.items():
            for tool in tools:
                tool.score(name, snvs if isinstance(tool, Genomix) else snvs[:n])
                seconds = tool.measured.seconds[name][-1]
                print(f"round {turn + 1}, {name}, {tool.name}: {seconds:.4f} s", file=sys.stderr)


def parse() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--genomix-python", default=sys.executable)
    parser.add_argument("--grelu-python", required=True)
    parser.add_argument("--tangermeme-python", required=True)
    parser.add_argument("-n", type=int, default=24, help="variants for the peers, and isolated")
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


def main() -> None:
    """Prepare the inputs, measure in turns, check, and print the table."""
    options = parse()
    os.environ.update(ONE_THREAD)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        score_options = inputs(options.data, work)
        fasta = work / "chr22.fa"
        with Fasta(fasta) as reference:  # gReLU needs the contig sizes in a file
            sizes = [f"{name}\t{length}\n" for name, length in reference.lengths.items()]
        Path(f"{fasta}.sizes").write_text("".join(sizes))
        real = options.data / "variants.chr22.vcf.gz"
        sets = {
            DENSE: made_up(fasta, CONTIG, START, END, SEED),
            ISOLATED: far_apart(real, WINDOW, options.n),
        }
        peers = [
            Peer("gReLU", "peers_grelu.py", options.grelu_python, fasta, work),
            Peer("tangermeme", "peers_tangermeme.py", options.tangermeme_python, fasta, work),
        ]
        for peer in peers:
            peer.choose_batch(sets[ISOLATED])
        tools = [Genomix(options.genomix_python, score_options, work), *peers]
        measure(tools, sets, options.n, options.rounds)
        print(table(tools))
        chosen = ", ".join(f"{peer.name} {peer.batch}" for peer in peers)
        torches = ", ".join(sorted({tool.measured.about["torch"] for tool in tools}))
        print(
            f"\ngenomix: {len(sets[DENSE]):,} and {len(sets[ISOLATED])} variants; the peers: "
            f"{min(options.n, len(sets[DENSE]))} and {len(sets[ISOLATED])}, batch {chosen}; "
            f"torch {torches}; medians of {options.rounds} rounds.\n{check(*peers)}."
        )
        for peer in peers:
            peer.close()


if __name__ == "__main__":
    main()
