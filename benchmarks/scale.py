"""Speed and memory of `genomix score` on large inputs, as Markdown tables.

    python benchmarks/scale.py [--records 1000000] [--scored 1000000] [--alleles 4000] [--threads 1]

Alleles: the CPU time of an allele with the default weights, for the layers as trained and as used
in scoring, in turns; the time that a GMT saves if alleles share computations; then `--alleles`
alleles from end to end. Records: made-up input and a model of minimal size, so that everything else
is measured: the CPU time of a record, compared with ``bcftools view`` between the same formats, and
memory. Times are CPU seconds without start-up, because the machine may be shared. Each run has its
own process.
"""

from __future__ import annotations

import argparse
import gzip
import logging
import multiprocessing
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from genomix_cli.config import to_dict
from genomix_cli.learning.activity import ActivityModel
from genomix_cli.variants.models.activity import Activity
from genomix_cli.variants.models.base import Answers, Variants
from genomix_cli.variants.models.gmt import GMT, GMTConfig
from genomix_cli.variants.models.sharing import shared, shared_rows
from genomix_cli.variants.records.inputs import Allele, haplotypes, load_window
from genomix_cli.variants.requests.score import (
    DEFAULT_MODEL,
    SIMULATED_MODEL,
    GenomeFiles,
    ScoreRequest,
)
from genomix_cli.variants.score.clock import Clock
from genomix_cli.variants.score.doctor import MadeUpGenome
from genomix_cli.variants.score.engine import Engine
from genomix_cli.variants.score.reading import WINDOWS, Reader, Target, window_tensors
from genomix_cli.variants.score.vcf import score_variants
from genomix_cli.variants.trained import ModelConfig, arch_of, load_model, save_model

LENGTH = 30_000_000
SPACING = 30
FEW = 1_000
SPARSE = 600  # bases between two variants of a person's genome
GENOME = 5_000_000  # variants of a person
ROUNDS = 7
TURNS = 31
FREE = "SNVs, by a network that costs nothing"
HEADER = (
    "##fileformat=VCFv4.3\n"
    f"##contig=<ID=chr1,length={LENGTH}>\n"
    '##ALT=<ID=DEL,Description="Deletion">\n'
    '##INFO=<ID=AC,Number=A,Type=Integer,Description="Count">\n'
    '##INFO=<ID=AF,Number=A,Type=Float,Description="Frequency">\n'
    "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
)


#: Bases between two genes.
GENE = 30_000
CLINICAL = '##INFO=<ID=CLNSIG,Number=.,Type=String,Description="Significance">\n'
#: CPU microseconds of an allele with the default weights, as measured here for SNVs 600 bp apart.
DEFAULT_US = 5_130.0


def write_genome(path: Path, length: int = LENGTH) -> str:
    """Write a FASTA of one contig of random bases, and return the bases."""
    bases = np.random.default_rng(1).choice(np.frombuffer(b"ACGT", np.uint8), length)
    text = bases.tobytes().decode()
    lines = (text[i : i + 60] for i in range(0, length, 60))
    path.write_text(">chr1\n" + "\n".join(lines) + "\n")
    return text


#: Fields of a GMT of minimal size.
SMALLEST = {
    **{"n_bins": 400, "centre_bins": 0, "d_model": 16, "n_layers": 1, "n_heads": 2},
    **{"d_sequence": 8, "d_local": 8, "fusion_layers": 0},
}


def write_model(folder: Path, **fields: Any) -> None:
    """Write a GMT without tracks and with random weights, by default of minimal size."""
    folder.mkdir()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = GMT(GMTConfig((), **(fields or SMALLEST)))
    save_model(folder, module, ModelConfig("gmt", arch_of(module), ()))


class Measured(NamedTuple):
    """Cost of a run: CPU seconds, records per wall second, and MiB of its process."""

    cpu: float
    rate: float
    memory: float


def measured(few: ScoreRequest, many: ScoreRequest, *, free: bool = False) -> Measured:
    """Measure the second of two runs in one process, which excludes imports and start-up.

    With `free`, the network costs nothing, so everything else is measured.
    """
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(_measured, few, many, free).result()


def _measured(few: ScoreRequest, many: ScoreRequest, free: bool) -> Measured:
    logging.disable()
    if free:
        answer_at_once()
    score_variants(few)
    start = time.process_time()
    done = score_variants(many)
    cpu = time.process_time() - start
    # Peak of this process since its start; that of getrusage would include its parent's memory.
    status = Path("/proc/self/status").read_text().split("VmHWM:")[1]
    return Measured(cpu, done.records / done.seconds["all"], int(status.split()[0]) / 1024)


def answer_at_once() -> None:
    """Let every GMT of this process answer 0, and read no window."""

    def answers(_: GMT, __: Any, variants: Variants, ___: Any) -> Answers:
        zeros = torch.zeros(variants.offset.shape)
        return Answers(zeros, zeros, torch.zeros(*zeros.shape, 0))

    GMT.window, GMT.answers = lambda *_: None, answers  # type: ignore[method-assign,assignment]


def cpu_seconds(command: Sequence[str]) -> float:
    """Run a command and return its CPU seconds."""
    pid = os.spawnvp(os.P_NOWAIT, command[0], [*command])
    _, status, used = os.wait4(pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} ended with {status}")
    return used.ru_utime + used.ru_stime


def records(bases: str, count: int, alt: str | None, spacing: int = SPACING) -> Iterator[str]:
    """Yield an SNV every `spacing` bases, or with `alt` that allele."""
    for i in range(count):
        pos = 1 + spacing * i
        ref = bases[pos - 1]
        other = alt or "ACGT"["ACGT".index(ref) - 1]
        info = f"AC={i % 50};AF={i % 997 / 1000}"
        yield f"chr1\t{pos}\trs{1_000_000 + i}\t{ref}\t{other}\t50\tPASS\t{info}\n"


def write_vcf(path: Path, lines: Iterator[str]) -> Path:
    """Write a VCF, compressed if its name says so."""
    data = (HEADER + "".join(lines)).encode()
    path.write_bytes(gzip.compress(data, 6) if path.suffix == ".gz" else data)
    return path


def show_records(work: Path, bases: str, scored: int, count: int, plain: ScoreRequest) -> None:
    """Print the table of records."""
    jobs: list[tuple[str, str | None, str, str, int]] = [
        ("SNVs, scored", None, "in.vcf", "out.vcf.gz", scored // 10),
        ("SNVs, scored", None, "in.vcf", "out.vcf.gz", scored),
        (FREE, None, "in.vcf", "out.vcf.gz", scored),
        ("nothing to score", "<DEL>", "in.vcf", "out.vcf", count),
        ("nothing to score", "<DEL>", "in.vcf", "out.vcf.gz", count),
        ("nothing to score", "<DEL>", "in.vcf.gz", "out.vcf.gz", count),
    ]
    print("| what | in | out | records | CPU us of one | of bcftools | records/s | peak MiB |")
    print("|---|---|---|---|---|---|---|---|")
    for what, alt, given, wanted, n in (job for job in jobs if job[-1]):
        few = write_vcf(work / f"few.{given}", records(bases, FEW, alt))
        many = write_vcf(work / given, records(bases, n, alt))
        request = replace(plain, output=work / wanted)
        used = measured(replace(request, vcf=few), replace(request, vcf=many), free=what == FREE)
        theirs = ""
        if shutil.which("bcftools"):
            kind = "-Oz" if wanted.endswith(".gz") else "-Ov"
            view = ["bcftools", "view", kind, "-o", str(work / f"theirs.{wanted}"), str(many)]
            theirs = f"{cpu_seconds(view) / n * 1e6:.2f}"
        forms = f"{given.partition('.')[2]} | {wanted.partition('.')[2]}"
        print(
            f"| {what} | {forms} | {n:,} | {used.cpu / n * 1e6:.1f} | {theirs} "
            f"| {used.rate:,.0f} | {used.memory:.0f} |",
            flush=True,
        )


def write_genes(path: Path) -> Path:
    """Write a GTF with a gene every 30 kb: three transcripts of eight exons, inner ones coding."""
    rows = []
    for gene in range(LENGTH // GENE):
        strand = "+-"[gene % 2]
        for transcript in range(3):
            first = 1 + GENE * gene + 500 * transcript
            names = f'gene_id "G{gene}"; gene_name "N{gene}"; transcript_id "T{gene}.{transcript}";'
            exons = [(first + 2_000 * i, first + 2_000 * i + 150) for i in range(8)]
            spans = [("transcript", first, exons[-1][1])]
            spans += [(kind, *exon) for kind in ("exon", "CDS") for exon in exons]
            rows += [
                f"chr1\tx\t{kind}\t{start}\t{end}\t.\t{strand}\t.\t{names}\n"
                for kind, start, end in spans
                if kind != "CDS" or exons[0][0] < start < exons[-1][0]
            ]
    path.write_text("".join(rows))
    return path


def write_known(path: Path, bases: str, count: int) -> Path:
    """Write an indexed VCF of half the SNVs, with the fields of ClinVar and gnomAD."""
    import pysam

    lines = list(records(bases, count, None))[::2]
    text = HEADER.replace("##INFO=<ID=AC", CLINICAL + "##INFO=<ID=AC")
    rows = (line.replace("\tAC=", "\tCLNSIG=Benign;AC=") for line in lines)
    path.write_text(text + "".join(rows))
    return Path(pysam.tabix_index(str(path), preset="vcf", force=True))


def write_made_up_contacts(path: Path) -> Path:
    """Write contacts between 5-kb bins that are less than 150 kb apart."""
    from genomix_cli.variants.simulate.files import CONTACT_BIN, write_contacts

    n = LENGTH // CONTACT_BIN
    one, by = (each.ravel() for each in np.meshgrid(np.arange(n), np.arange(30), indexing="ij"))
    one, other = one[one + by < n], (one + by)[one + by < n]
    counts = np.random.default_rng(2).poisson(200 / (1 + other - one))
    pixels = pd.DataFrame({"bin1_id": one, "bin2_id": other, "count": counts})
    write_contacts(path, {"chr1": LENGTH}, [pixels[counts > 0]])
    return path


def show_beside(work: Path, bases: str, count: int, rounds: int, plain: ScoreRequest) -> None:
    """Print the cost of additional columns and files, without the network."""
    few, many = (write_vcf(work / f"{n}.beside.vcf", records(bases, n, None)) for n in (FEW, count))
    genes = {"genes": write_genes(work / "genes.gtf")}
    known = {"known": (write_known(work / "known.vcf", bases, count),)}
    files = replace(plain.genome, contacts=str(write_made_up_contacts(work / "hic.cool")))
    tracks = {"bigwig": work / "tracks"}
    jobs: dict[str, dict[str, Any]] = {
        "plain": {}, "`--genes`": genes, "`--genes` and contacts": genes | {"genome": files},
        "`--known`": known, "`--genes` and `--known`": genes | known,
        "`--bigwig`, two fields": tracks,
    }  # fmt: skip
    each: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(rounds):
        for name, more in jobs.items():
            request = replace(plain, output=work / "out.vcf", **more)
            used = measured(replace(request, vcf=few), replace(request, vcf=many), free=True)
            each[name].append(used.cpu / count * 1e6)
    print(f"\n{count:,} SNVs, {rounds} rounds in turns, a network that answers 0 at once\n")
    print("| | CPU us of a record | times plain | of an allele by the default weights |")
    print("|---|---|---|---|")
    for name, own in each.items():
        ratio = float(np.median(np.divide(own, each["plain"])))
        more_us = float(np.median(np.subtract(own, each["plain"])))
        print(f"| {name} | {np.median(own):.1f} | {ratio:.2f} | {more_us / DEFAULT_US:.2%} |")


class Plain(Activity):
    """The default weights, with the layers as trained."""

    def differences(self, variants: Variants) -> torch.Tensor:
        """Return the activity of alt minus that of ref."""
        ref, alt = (self.probabilities(codes) for codes in (variants.ref, variants.alt))
        return self.activity(alt) - self.activity(ref)

    def substitutions(self, variants: Variants) -> torch.Tensor:
        """Return the same as `differences`."""
        return self.differences(variants)


def show_layers() -> None:
    """Print the speed-up by the layers used in scoring, engine and input included."""
    network = load_model(DEFAULT_MODEL).module.network
    engines = [
        Engine(model.eval(), MadeUpGenome((), 100_000), torch.device("cpu"))
        for model in (Plain(network), Activity(network))
    ]
    bases = np.arange(4, dtype=np.uint8)
    print("\n| alleles | together | CPU ms of one, as trained | as scored | ratio |")
    print("|---|---|---|---|---|")
    for what, alt in (("substitutions", bases[1:2]), ("insertions", bases[1:4])):
        for count in (64, 1):
            ref = bases[: len(alt) == 1]
            targets = [Target("made-up", Allele(1000 + 600 * i, ref, alt), 0) for i in range(count)]
            times: list[list[float]] = [[], []]
            for _ in range(ROUNDS):
                for engine, taken in zip(engines, times, strict=True):
                    start = time.process_time()
                    engine.score(targets)
                    taken.append((time.process_time() - start) / count * 1000)
            plain, fast = map(np.median, times)
            ratio = np.median(np.divide(*times))
            print(f"| {what} | {count} | {plain:.2f} | {fast:.2f} | {ratio:.1f}x |", flush=True)


def show_sharing() -> None:
    """Print the time that a GMT saves if alleles share computations, for the same inputs."""
    bases = np.arange(4, dtype=np.uint8)
    network = load_model(DEFAULT_MODEL).module.network
    models = {"": load_model(SIMULATED_MODEL).module, ", `gmt-mini` inside": with_inside(network)}
    kinds = {
        "substitutions": [Allele(50_000 + 60 * i, bases[:1], bases[1:2]) for i in range(64)],
        "three of each base": [
            Allele(50_000 + i // 3, bases[:1], bases[1 + i % 3 :][:1]) for i in range(64)
        ],
        "insertions": [Allele(50_000 + 60 * i, bases[:0], bases[:3]) for i in range(64)],
    }
    print("\n| alleles | together | CPU ms of one, nothing shared | shared | ratio | difference |")
    print("|---|---|---|---|---|---|")
    for inside, model in models.items():
        for what, alleles in kinds.items():
            for count in (64, 16, 1):
                row = shared_row(model, alleles[:count])
                print(f"| {what}{inside} | {count} | {row} |", flush=True)


def show_windows() -> None:
    """Print the cost of a window if several go through the trunk together."""
    model = load_model(SIMULATED_MODEL).module
    genome, counts = MadeUpGenome(model.config.tracks, 100_000), (1, 2, 4, 8)
    windows = [load_window(genome, "made-up", 10_000 * i, model.n_bins) for i in range(8)]
    batches = [window_tensors(windows[:n], torch.device("cpu")) for n in counts]
    with torch.inference_mode():
        times, _ = in_turns([partial(model.window, batch) for batch in batches])
    each = np.median(times, 1) / counts * 1000
    print("\n| windows together | " + " | ".join(map(str, counts)) + " |\n" + "|---" * 5 + "|")
    print("| CPU ms of one | " + " | ".join(f"{ms:.1f}" for ms in each) + " |")


def show_reading() -> None:
    """Print the time to read SNVs and their windows for a small GMT, without the network."""
    model = GMT(GMTConfig((), **SMALLEST)).eval()
    genome, cpu, core = MadeUpGenome((), 1_000_000), torch.device("cpu"), 10_000
    bases = np.arange(4, dtype=np.uint8)
    print("\n| bases between two SNVs | CPU us of one, a window at a time | up to 16 | ratio |")
    print("|---|---|---|---|")
    for spacing in (SPACING, SPARSE):
        targets = [
            Target("made-up", Allele(pos, bases[:1], bases[1:2]), pos // core)
            for pos in range(core, 180 * core, spacing)
        ]

        def read(windows: tuple[int, ...], targets: list[Target] = targets) -> int:
            """Read all targets; return the number of pieces of work."""
            reader = Reader(model, genome, cpu, "shared", False, windows)
            return len(list(reader.works(targets, Clock(["genome"]), np.zeros(1))))

        times, _ = in_turns([partial(read, (1,)), partial(read, WINDOWS)])
        one, many = np.median(times, 1) / len(targets) * 1e6
        ratio = np.median(times[0] / times[1])
        print(f"| {spacing} | {one:.1f} | {many:.1f} | {ratio:.1f}x |", flush=True)


def with_inside(network: ActivityModel) -> GMT:
    """Return a GMT with random weights and an activity network inside."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = GMT(GMTConfig((), **GMT.presets["mini"], activity=to_dict(network.config)))
    model.activity.reader.network.load_state_dict(network.state_dict())
    return model.eval()


def shared_row(model: GMT, alleles: Sequence[Allele]) -> str:
    """Return a row: CPU ms of an allele without and with sharing, ratio, difference in logits."""
    genome, count = MadeUpGenome(model.config.tracks, 100_000), len(alleles)
    arrays = load_window(genome, "made-up", 0, model.n_bins)
    window = window_tensors([arrays], torch.device("cpu"))
    offset = np.array([allele.pos for allele in alleles])
    rows = haplotypes(genome, "made-up", alleles, model.flank)
    variants = Variants(*(torch.from_numpy(a)[None] for a in (offset, *rows)))
    alone = [np.arange(n) for n in (*[count] * 2, *[2 * count] * 4, 0, *[count] * 2)]
    each, together = (
        shared([torch.from_numpy(field) for field in fields])
        for fields in ([a[None] for a in alone], shared_rows(offset[None], rows.at(None)))
    )

    def nothing_shared(context: Any) -> Answers:
        """Return the answers without sharing; the network inside then reads the alleles again."""
        answers = model.answers(context, variants, each)
        if model.activity is not None:
            reader = model.activity.reader
            cut = slice(model.flank - reader.flank, None)
            reader.differences(
                variants._replace(ref=variants.ref[..., cut], alt=variants.alt[..., cut])
            )
        return answers

    with torch.inference_mode():
        context = model.window(window)
        times, found = in_turns(
            [partial(nothing_shared, context), partial(model.answers, context, variants, together)]
        )
    apart = (found[0].logits - found[1].logits).abs().max()
    plain, fast = np.median(times, 1) / count * 1000
    ratio = np.median(times[0] / times[1])
    return f"{plain:.2f} | {fast:.2f} | {ratio:.2f}x | {apart:.0e}"


def in_turns(calls: Sequence[Callable[[], Any]]) -> tuple[NDArray[np.float64], list[Any]]:
    """Return the CPU seconds of each call ``[calls, rounds]``, and the result of each."""
    times = np.empty((len(calls), TURNS))
    found = [call() for call in calls]
    for i in range(TURNS):
        for j, call in enumerate(calls):
            start = time.process_time()
            call()
            times[j, i] = time.process_time() - start
    return times, found


def show_default(work: Path, bases: str, count: int, plain: ScoreRequest) -> None:
    """Print the cost of the default weights from end to end."""
    few, many = (
        write_vcf(work / f"{n}.vcf", records(bases, n, None, SPARSE)) for n in (count // 10, count)
    )
    request = replace(plain, model=DEFAULT_MODEL, output=work / "out.vcf")
    each = measured(replace(request, vcf=few), replace(request, vcf=many)).cpu / count
    print(
        f"\n{count:,} SNVs {SPARSE} bp apart, default weights: {each * 1000:.2f} CPU ms each, "
        f"{1 / each:,.0f} per CPU second; {GENOME:,}, extrapolated: "
        f"{each * GENOME / 3600:.1f} CPU hours"
    )


def main() -> None:
    """Run everything and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=LENGTH // SPACING, help="not scored")
    parser.add_argument("--scored", type=int, default=LENGTH // SPACING, help="scored")
    parser.add_argument("--alleles", type=int, default=4_000)
    parser.add_argument(
        "--beside", type=int, default=0, help="scored with genes and known variants"
    )
    parser.add_argument("--rounds", type=int, default=5, help="of --beside")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        bases = write_genome(work / "genome.fa")
        write_model(work / "model")
        plain = ScoreRequest(
            work / "in.vcf", GenomeFiles(work / "genome.fa"), work / "out.vcf",
            model=str(work / "model"), device="cpu", threads=options.threads,
        )  # fmt: skip
        if options.alleles:
            show_layers()
            show_sharing()
            show_windows()
            show_reading()
            show_default(work, bases, options.alleles, plain)
        if options.beside:
            show_beside(work, bases, options.beside, options.rounds, plain)
        if options.records or options.scored:
            show_records(work, bases, options.scored, options.records, plain)


if __name__ == "__main__":
    main()
