"""A small simulated genome whose contigs end in the middle of a bin, and VCFs over it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from genomix_cli.genome.alphabet import decode
from genomix_cli.genome.fasta import Fasta
from genomix_cli.variants.requests.prepare import PrepareRequest
from genomix_cli.variants.requests.simulate import SimulationRequest
from genomix_cli.variants.simulate.genome import simulate_genome

LENGTH = 303_030
TRACKS = ("ATAC", "CTCF")


def make_genome(folder: Path) -> Path:
    """Write FASTA, bigWigs, contacts and variants of chr1 and chr2 to `folder`."""
    simulate_genome(SimulationRequest(folder, contigs=2, contig_length=LENGTH, seed=3))
    return folder


def tracks_of(genome: Path) -> dict[str, Path]:
    return {name: genome / f"{name}.bw" for name in TRACKS}


def request(genome: Path, output: Path, **changes: object) -> PrepareRequest:
    settings: dict[str, object] = {
        "vcf": genome / "variants.vcf.gz",
        "fasta": genome / "genome.fa.gz",
        "output": output,
        "tracks": tracks_of(genome),
        "contacts": genome / "contacts.cool",
    }
    return PrepareRequest(**(settings | changes))  # type: ignore[arg-type]


def write_vcf(path: Path, rows: Iterable[tuple[object, ...]], info: str = "LABEL") -> Path:
    """Write a VCF from rows of contig, 1-based pos, REF, ALT and the value of one INFO key."""
    head = f'##fileformat=VCFv4.3\n##INFO=<ID={info},Number=A,Type=Float,Description="x">\n'
    head += "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    lines = [
        f"{contig}\t{pos}\t.\t{ref}\t{alt}\t.\t.\t{f'{info}={value}' if value != '' else '.'}\n"
        for contig, pos, ref, alt, value in rows
    ]
    path.write_text(head + "".join(lines))
    return path


def bases(genome: Path, contig: str, pos: int, n: int = 1) -> str:
    """Return `n` bases of the reference from 1-based `pos`."""
    with Fasta(genome / "genome.fa.gz") as fasta:
        return decode(fasta.fetch(contig, pos - 1, pos - 1 + n))


def other_base(base: str) -> str:
    return "ACGT"[("ACGT".index(base) + 1) % 4]
