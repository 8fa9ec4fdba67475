"""A valid call of every command on small inputs, and a way to run commands in forks.

A fork has all modules loaded, so it takes milliseconds where a new interpreter takes seconds.
It has its own descriptors and limits.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from genomix_cli.cli.main import main
from genomix_cli.formats.genome_shard import Shard
from genomix_cli.variants.trained import ModelConfig, build_model, save_model
from tests.cohort_runs import planted
from tests.cohort_runs import train as cohort_run
from tests.conftest import ROOT, Ended
from tests.diffusion_runs import trained as diffusion_run
from tests.diffusion_runs import two_classes
from tests.profile_samples import footprints
from tests.sequence_runs import trained as sequence_run
from tests.sequence_samples import motifs, write
from tests.suite_shard import prepare
from tests.toy_variant_model import save_toy

DATA = ROOT / "test_data"
OUT = "OUT"
TRACKS = ("ATAC", "H3K27ac", "H3K4me3", "CTCF")
SMALL = "--set n_bins=400 --set d_model=16 --set n_layers=1 --set n_heads=2 --set d_sequence=8"
QUICK = "--threads 1 --device cpu"
TIME_LIMIT = 120
BUG = 70


class Call(NamedTuple):
    """A call of a command, with ``OUT`` in place of the output, and the name of the output."""

    words: str
    arguments: str
    output: str

    def typed(self, output: object) -> list[str]:
        """Return words and arguments as they are typed."""
        typed = f"{self.words} {self.arguments}".split()
        return [str(output) if word == OUT else word for word in typed]


def in_fork(arguments: Sequence[str], setup: Callable[[], None] = lambda: None) -> Ended:
    """Run the command line in a fork, after calling `setup` there."""
    (out, into_out), (err, into_err) = os.pipe(), os.pipe()
    child = os.fork()
    if not child:
        os.dup2(into_out, 1)
        os.dup2(into_err, 2)
        for end in (out, into_out, err, into_err):
            os.close(end)
        os._exit(_code(arguments, setup))
    os.close(into_out)
    os.close(into_err)
    with open(err, errors="replace") as messages, open(out, errors="replace") as data:
        said, printed = messages.read(), data.read()
    return Ended(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), printed, said)


def _code(arguments: Sequence[str], setup: Callable[[], None]) -> int:
    """Return the exit code with which a separate interpreter would end."""
    code = BUG
    try:
        signal.alarm(TIME_LIMIT)
        streams: list[Any] = [open(0), *(open(fd, "w", buffering=1) for fd in (1, 2))]  # noqa: SIM115
        sys.stdin, sys.stdout, sys.stderr = streams
        faulthandler.enable(sys.stderr)
        setup()
        sys.__stdout__, sys.__stderr__ = sys.stdout, sys.stderr
        sys.argv = ["genomix", *arguments]
        main()
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 0
    except BaseException:
        traceback.print_exc()
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    except OSError:
        code = 120
    return code


def build(folder: Path) -> None:
    """Make the inputs of `calls` in a folder."""
    tracks = {name: DATA / f"{name}.bw" for name in TRACKS}
    shard = prepare(DATA, folder / "shard.h5", tracks=tracks)
    save_toy(folder / "toy", shard, valid="chr1", test="chr2", n_bins=200)
    _untrained(folder / "gmt", shard)
    planted(folder / "cohort.h5mu", n=60)
    cohort_run(folder / "cohort.h5mu", folder / "straight")
    dna = motifs(n=60)
    write(folder / "dna.h5", dna)
    write(folder / "tracks.h5", footprints(60))
    sequence_run(folder / "cnn", dna, "cnn", epochs=1)
    diffusion_run(two_classes(folder / "two.h5", n=200), folder / "diffusion", epochs=1)
    values = np.random.default_rng(0).normal(5, 1, (5, 10))
    rows = ["\t".join(["feature", *(f"S{i}" for i in range(10))])]
    rows += ["\t".join([f"GENE{i}", *map(str, row)]) for i, row in enumerate(values)]
    (folder / "rna.tsv").write_text("\n".join(rows) + "\n")
    made = {
        "score variants": "scored.vcf",
        "score cohort": "classes.tsv",
        "evaluate suite": "suite",
    }
    for words, name in made.items():
        ended = in_fork(calls(folder)[words].typed(folder / name))
        assert ended.code == 0, ended.err


def _untrained(folder: Path, shard: Shard) -> None:
    """Write a run folder of a small GMT with random weights."""
    arch = {
        **{"tracks": list(shard.modalities), "n_bins": 400, "d_model": 16, "n_layers": 1},
        **{"n_heads": 2, "d_sequence": 8, "d_local": 8},
    }
    config = ModelConfig("gmt", arch, shard.modality_specs, shard.uncovered, shard.max_gap_bins)
    folder.mkdir()
    save_model(folder, build_model("gmt", arch), config)


def calls(folder: Path) -> dict[str, Call]:
    """Return a call for each command and task, by its words; `folder` has the inputs."""
    f, d = folder, DATA
    genome = f"-f {d}/genome.fa.gz -t ATAC={d}/ATAC.bw"
    toy = f"{d}/variants.vcf.gz --config {d}/genomix.toml -m {f}/gmt {QUICK}"
    held = "--valid-contigs chr2"
    listed = [
        Call("simulate genome", "-o OUT --contigs 2 --contig-length 100k", "demo"),
        Call("simulate cohort", "-o OUT --preset stillwell -n 20", "new.h5mu"),
        Call("simulate fit", f"{f}/cohort.h5mu -o OUT", "params.yaml"),
        Call("simulate sequences", f"-m {f}/diffusion -n 5 -o OUT {QUICK}", "new.h5"),
        Call(
            "prepare variants",
            f"--vcf {d}/variants.vcf.gz --label-info LABEL {genome} -o OUT",
            "shard.h5",
        ),
        Call("prepare genome", f"{genome} -o OUT", "genome.h5"),
        Call("prepare cohort", f"-m rna={f}/rna.tsv --kind rna=expression -o OUT", "made.h5mu"),
        Call("prepare sequences", f"{d}/genome.fa.gz --window 1000 -o OUT", "windows.h5"),
        Call("train variants", f"{f}/shard.h5 -o OUT --epochs 1 {held} {SMALL} {QUICK}", "run"),
        Call(
            "train variants --task pretrain",
            f"{f}/shard.h5 -o OUT --epochs 1 {held} {SMALL} {QUICK} "
            "--windows-per-epoch 4 --valid-windows 2",
            "run",
        ),
        Call(
            "train cohort",
            f"{f}/cohort.h5mu -o OUT --model mlp --baselines logistic --trials 1 --folds 2 "
            f"--epochs 1 {QUICK}",
            "run",
        ),
        Call(
            "train sequences",
            f"{f}/dna.h5 -o OUT --model cnn --baselines majority --epochs 1 {QUICK}",
            "run",
        ),
        Call(
            "train sequences --task contrast",
            f"{f}/dna.h5 -o OUT --preset motifs --epochs 1 {QUICK}",
            "run",
        ),
        Call(
            "train sequences --task diffuse",
            f"{f}/two.h5 -o OUT --preset tiny --epochs 1 {QUICK}",
            "run",
        ),
        Call(
            "train sequences --task align",
            f"{f}/dna.h5 -o OUT --preset motifs --epochs 1 {QUICK}",
            "run",
        ),
        Call(
            "train sequences --task activity",
            f"{f}/dna.h5 -o OUT --preset tiny --epochs 1 {QUICK}",
            "run",
        ),
        Call(
            "train sequences --task profile",
            f"{f}/tracks.h5 -o OUT --set width=4 --epochs 1 {QUICK}",
            "run",
        ),
        Call("score variants", f"{toy} -o OUT", "scored.vcf"),
        Call("score cohort", f"{f}/cohort.h5mu -m {f}/straight -o OUT", "scores.tsv"),
        Call("score sequences", f"{f}/dna.h5 -m {f}/cnn -o OUT", "scores.tsv"),
        Call(
            "explain variants",
            f"{f}/scored.vcf --config {d}/genomix.toml -m {f}/gmt --top 1 -o OUT",
            "why.tsv",
        ),
        Call("explain cohort", f"{f}/cohort.h5mu -m {f}/straight -o OUT", "why.tsv"),
        Call("explain sequences", f"{f}/dna.h5 -m {f}/cnn -o OUT", "why.tsv"),
        Call("evaluate variants", f"{f}/scored.vcf --probability-info PROB -o OUT", "figures"),
        Call(
            "evaluate suite",
            f"{f}/shard.h5 -m {f}/toy --baselines nearest-peak --bootstrap 20 {QUICK} -o OUT",
            "suite",
        ),
        Call("evaluate leaderboard", f"{f}/suite --bootstrap 20 -o OUT", "board"),
        Call(
            "evaluate classes",
            f"{f}/classes.tsv --data {f}/cohort.h5mu --bootstrap 20 -o OUT",
            "figures",
        ),
        Call("evaluate generated", f"{f}/two.h5 --real {f}/two.h5 --bootstrap 5 -o OUT", "figures"),
        Call("inspect", f"{f}/cohort.h5mu --plots OUT", "pictures"),
        Call("doctor", "-m gmt-mini-sim --device cpu", "none"),
    ]
    return {call.words: call for call in listed}
