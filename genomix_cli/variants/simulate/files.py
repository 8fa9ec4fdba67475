"""Write a simulated genome: FASTA, bigWigs, contact map, VCF, truth and settings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pyBigWig
import pysam
from numpy.typing import NDArray

from genomix_cli import __version__
from genomix_cli.errors import from_extra
from genomix_cli.genome.motifs import Motif
from genomix_cli.variants.requests.score import SIMULATED_MODEL
from genomix_cli.variants.simulate.causal import LabelledAlleles
from genomix_cli.variants.simulate.generative import BIN, CONTACT_BIN, Contig, Rule, tf_name

# Keep htslib from printing its own messages to stderr.
pysam.set_verbosity(0)

LINE = 60
_BASES = np.frombuffer(b"ACGTN", np.uint8)

VCF_HEADER = """\
##fileformat=VCFv4.2
##source=genomix {version} simulate genome
##reference=genome.fa.gz
{contigs}
##FILTER=<ID=PASS,Description="All filters passed">
{info}
#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO
"""

#: ID, Number, Type and Description; together they state the label rule.
VCF_INFO = (
    ("LABEL", "A", "Integer", "1 with probability PROB, else 0"),
    ("PROB", "A", "Float", "True probability of LABEL 1: {formula}"),
    (
        "BREAK",
        "A",
        "Float",
        "Motif broken: 1 / (1 + exp(-(DELTA - 3) / 0.6)), 0 where MOTIF is missing",
    ),
    ("DELTA", "A", "Float", "Bits that the best motif site touching REF loses on ALT"),
    ("MOTIF", "A", "String", "Motif of that site, missing where none reaches its threshold"),
    ("OPEN", "1", "Integer", "POS lies in an open element"),
    ("CONTACT", "1", "Integer", "An active promoter lies in the contact domain of POS"),
)

TRUTH_HEADER = "#contig\tstart\tend\ttype\tname\tstrand\topen\tcontact\n"


class GenomeFiles(ExitStack):
    """Files of a simulated genome, written contig by contig and closed when the block ends.

    Parameters
    ----------
    folder : Path
    lengths : dict of str to int
        Length of each contig, in order.
    motifs : tuple of Motif
    rule : Rule
        Rule of the labels, for the VCF's header.

    Attributes
    ----------
    counts : Counter
        Numbers of bases, elements, records and so on.
    labels, probabilities : dict of str to array
        LABEL and PROB of each contig's alleles.
    """

    def __init__(
        self, folder: Path, lengths: dict[str, int], motifs: tuple[Motif, ...], rule: Rule
    ) -> None:
        super().__init__()
        self._folder = folder
        self._motifs = motifs
        self.counts: Counter[str] = Counter()
        self.labels: dict[str, NDArray[np.bool_]] = {}
        self.probabilities: dict[str, NDArray[np.float64]] = {}
        self._fasta = self._open_bgzip("genome.fa.gz")
        self._vcf = self._open_bgzip("variants.vcf.gz")
        self._truth = self.enter_context((folder / "truth.tsv").open("w"))
        self._tracks = [self._open_track(name, lengths) for name in track_names(motifs)]
        self._vcf.write(_vcf_header(lengths, rule).encode())
        self._truth.write(TRUTH_HEADER)

    def _open_bgzip(self, name: str) -> pysam.BGZFile:
        return self.enter_context(pysam.BGZFile(str(self._folder / name), "wb", index=None))

    def _open_track(self, name: str, lengths: dict[str, int]) -> Any:
        handle = pyBigWig.open(str(self._folder / f"{name}.bw"), "w")
        self.callback(handle.close)
        handle.addHeader(list(lengths.items()))
        return handle

    def index(self) -> None:
        """Write the indices of the FASTA and the VCF, which must be closed."""
        pysam.faidx(str(self._folder / "genome.fa.gz"))
        pysam.tabix_index(str(self._folder / "variants.vcf.gz"), preset="vcf", force=True)

    def write(self, contig: Contig, variants: LabelledAlleles) -> None:
        """Append one contig and its variants to every file."""
        self._fasta.write(_fasta_record(contig.name, contig.codes))
        for handle, row in zip(self._tracks, contig.signal, strict=True):
            _write_signal(handle, contig.name, row, len(contig.codes))
        names = [vcf_name(motif.name) for motif in self._motifs]
        records = list(_vcf_records(contig, variants, names))
        self._vcf.write("".join(records).encode())
        self._truth.writelines(_truth_lines(contig, self._motifs))
        self.labels[contig.name] = variants.label
        self.probabilities[contig.name] = variants.probability
        self.counts += Counter(
            bases=len(contig.codes),
            domains=len(contig.domains.start),
            elements=len(contig.elements.start),
            open_elements=int(contig.elements.open.sum()),
            motif_sites=len(contig.sites.start),
            records=len(records),
        )


def track_names(motifs: tuple[Motif, ...]) -> tuple[str, str, str, str]:
    """Return the names of the tracks, in the order of `Contig.signal`."""
    return ("ATAC", "H3K27ac", "H3K4me3", tf_name(motifs))


def vcf_name(name: str) -> str:
    """Return a motif name for INFO, without white space, comma, semicolon or equals sign."""
    return "".join("_" if letter in " \t,;=%" else letter for letter in name)


def require_cooler() -> None:
    """Raise MissingExtraError without cooler, before any work is done."""
    with from_extra("cooler", "hic"):
        import cooler  # noqa: F401


def write_contacts(path: Path, lengths: dict[str, int], pixels: Iterable[pd.DataFrame]) -> None:
    """Write a raw (unbalanced) 5-kb .cool file, contig by contig."""
    require_cooler()
    import cooler

    bins = cooler.binnify(pd.Series(lengths, dtype=np.int64), CONTACT_BIN)
    dated = path.with_name("dated.cool")
    cooler.create_cooler(
        str(dated), bins, pixels, ordered=True, assembly="simulated", ensure_sorted=False
    )
    _copy_without_date(dated, path)
    dated.unlink()


def write_settings(folder: Path, motifs: tuple[Motif, ...]) -> None:
    """Write genomix.toml, with which other commands need only ``--config``."""
    tracks = ", ".join(f'"{name}={name}.bw"' for name in track_names(motifs))
    inputs = f'fasta = "genome.fa.gz"\ntrack = [{tracks}]\ncontacts = "contacts.cool"\n'
    text = "# Paths are relative to this file. Use: genomix COMMAND --config genomix.toml\n"
    for command in ("prepare.variants", "score", "explain"):
        text += f"\n[{command}]\n{inputs}"
        if command == "prepare.variants":
            text += 'vcf = "variants.vcf.gz"\n'
            text += 'label-info = "LABEL"\nprobability-info = "PROB"\n'
            text += 'assembly = "simulated"\n'
        else:
            text += f'model = "{SIMULATED_MODEL}"\n'
    (folder / "genomix.toml").write_text(text)


def _copy_without_date(source: Path, target: Path) -> None:
    """Copy a .cool file without its creation date, for reproducible bytes.

    Deleting the attribute from the file itself would leave its bytes behind.
    """
    with h5py.File(source) as old, h5py.File(target, "w") as new:
        for name in old:
            old.copy(name, new)
        for name, value in old.attrs.items():
            if name != "creation-date":
                new.attrs[name] = value


def _fasta_record(name: str, codes: NDArray[np.uint8]) -> bytes:
    letters = _BASES[codes]
    whole = len(letters) // LINE * LINE
    lines = np.full((whole // LINE, LINE + 1), ord("\n"), np.uint8)
    lines[:, :LINE] = letters[:whole].reshape(-1, LINE)
    rest = letters[whole:].tobytes()
    return b">%s\n" % name.encode() + lines.tobytes() + (rest + b"\n" if rest else b"")


def _write_signal(handle: Any, contig: str, row: NDArray[np.float32], length: int) -> None:
    """Write one interval per measured bin; the last may be short."""
    measured = np.flatnonzero(~np.isnan(row))
    starts = measured * BIN
    ends = np.minimum(starts + BIN, length)
    handle.addEntries(
        np.full(len(starts), contig), starts, ends=ends, values=row[measured].astype(np.float64)
    )


def _vcf_header(lengths: dict[str, int], rule: Rule) -> str:
    contigs = "\n".join(
        f"##contig=<ID={name},length={length},assembly=simulated>"
        for name, length in lengths.items()
    )
    info = "\n".join(
        f"##INFO=<ID={key},Number={number},Type={kind},"
        f'Description="{text.format(formula=rule.formula())}">'
        for key, number, kind, text in VCF_INFO
    )
    return VCF_HEADER.format(version=__version__, contigs=contigs, info=info)


def _vcf_records(
    contig: Contig, variants: LabelledAlleles, motif_names: list[str]
) -> Iterator[str]:
    """Yield the lines of a contig; alleles at one position make one record."""
    columns = variants.alleles.position, variants.open, variants.contact
    sites = zip(*(column.tolist() for column in columns), strict=True)
    rows = zip(sites, _allele_fields(contig, variants, motif_names), strict=True)
    for (position, is_open, contact), alleles in groupby(rows, itemgetter(0)):
        ref, alt, *info = zip(*(fields for _, fields in alleles), strict=True)
        label, p, broken, delta, motif = map(",".join, info)
        yield (
            f"{contig.name}\t{position + 1}\t.\t{ref[0]}\t{','.join(alt)}\t.\tPASS\t"
            f"LABEL={label};PROB={p};BREAK={broken};DELTA={delta};MOTIF={motif};"
            f"OPEN={is_open:d};CONTACT={contact:d}\n"
        )


def _allele_fields(
    contig: Contig, variants: LabelledAlleles, motif_names: list[str]
) -> Iterator[tuple[str, ...]]:
    """Yield REF, ALT, LABEL, PROB, BREAK, DELTA and MOTIF of each allele as text."""
    (position, start, end, inserted, n_inserted), broken = variants.alleles, variants.broken
    letters = _BASES[contig.codes].tobytes().decode()
    # Convert to plain integers: slicing a str with NumPy scalars is several times slower.
    places = zip(*(column.tolist() for column in (position, start, end, n_inserted)), strict=True)
    labels = (variants.label, variants.probability, *broken)
    values = zip(*(column.tolist() for column in labels), strict=True)
    for place, bases, value in zip(places, _BASES[inserted], values, strict=True):
        (first, from_, to, n), (label, p, delta, motif, brk) = place, value
        ref = letters[first : max(to, first + 1)]
        alt = letters[first:from_] + bases[:n].tobytes().decode()
        name = motif_names[motif] if motif >= 0 else "."
        yield ref, alt, f"{label:d}", f"{p:.6g}", f"{brk:.6g}", f"{delta:.6g}", name


def _truth_lines(contig: Contig, motifs: tuple[Motif, ...]) -> Iterator[str]:
    """Yield BED-like lines: domains, elements, then motif sites."""
    domains, elements, sites = contig.domains, contig.elements, contig.sites
    for i, (start, end) in enumerate(zip(domains.start, domains.end, strict=True)):
        state = "active" if domains.active[i] else "inactive"
        yield f"{contig.name}\t{start}\t{end}\tdomain\t{state}\t.\t.\t{domains.contact[i]:d}\n"
    contact = domains.contact[elements.domain]
    for i, (start, end) in enumerate(zip(elements.start, elements.end, strict=True)):
        kind = "promoter" if elements.promoter[i] else "enhancer"
        yield (
            f"{contig.name}\t{start}\t{end}\t{kind}\t{kind}{i + 1}\t.\t"
            f"{elements.open[i]:d}\t{contact[i]:d}\n"
        )
    for i in np.argsort(sites.start, kind="stable"):
        element = sites.element[i]
        state = f"{elements.open[element]:d}\t{contact[element]:d}" if element >= 0 else "0\t."
        yield (
            f"{contig.name}\t{sites.start[i]}\t{sites.end[i]}\t"
            f"{'motif' if element >= 0 else 'decoy'}\t{motifs[sites.motif[i]].name}\t"
            f"{'-' if sites.reverse[i] else '+'}\t{state}\n"
        )
