"""Write a simulated genome: FASTA, bigWigs, contact map, VCF, truth and settings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pyBigWig
import pysam
from numpy.typing import NDArray

from genomix_cli import __version__
from genomix_cli.errors import MissingExtraError
from genomix_cli.genome.motifs import Motif
from genomix_cli.variants.simulate.causal import LabelledAlleles
from genomix_cli.variants.simulate.generative import BIN, CONTACT_BIN, Contig, Pixels, Rule, tf_name

if TYPE_CHECKING:
    import pandas as pd

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
    (
        "PROB",
        "A",
        "Float",
        "True probability of LABEL 1: {formula}",
    ),
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


class GenomeFiles:
    """Files of a simulated genome that grow contig by contig.

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
        Number of bases, elements, records and so on.
    labels, probabilities : dict of str to array
        LABEL and PROB of each contig's alleles.
    """

    def __init__(
        self, folder: Path, lengths: dict[str, int], motifs: tuple[Motif, ...], rule: Rule
    ) -> None:
        self._folder = folder
        self._motifs = motifs
        self.counts: Counter[str] = Counter()
        self.labels: dict[str, NDArray[np.bool_]] = {}
        self.probabilities: dict[str, NDArray[np.float64]] = {}
        self._stack = ExitStack()
        self._fasta = self._open_bgzip("genome.fa.gz")
        self._vcf = self._open_bgzip("variants.vcf.gz")
        self._truth = self._stack.enter_context((folder / "truth.tsv").open("w"))
        self._tracks = [self._open_track(name, lengths) for name in track_names(tf_name(motifs))]
        self._vcf.write(_vcf_header(lengths, rule).encode())
        self._truth.write(TRUTH_HEADER)

    def _open_bgzip(self, name: str) -> pysam.BGZFile:
        return self._stack.enter_context(pysam.BGZFile(str(self._folder / name), "wb", index=None))

    def _open_track(self, name: str, lengths: dict[str, int]) -> Any:
        handle = pyBigWig.open(str(self._folder / f"{name}.bw"), "w")
        self._stack.callback(handle.close)
        handle.addHeader(list(lengths.items()))
        return handle

    def __enter__(self) -> GenomeFiles:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()
        if kind is None:
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


def track_names(tf: str) -> tuple[str, str, str, str]:
    """Return the names of the tracks, in the order of `Contig.signal`."""
    return ("ATAC", "H3K27ac", "H3K4me3", tf)


def vcf_name(name: str) -> str:
    """Return a motif's name as an INFO value: no white space, comma, semicolon or equals sign."""
    return "".join("_" if letter in " \t,;=%" else letter for letter in name)


def require_cooler() -> None:
    """Raise MissingExtraError without cooler, before any work is done."""
    try:
        import cooler  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("cooler", "hic") from error


def write_contacts(path: Path, lengths: dict[str, int], contigs: Iterable[Pixels]) -> None:
    """Write a raw (unbalanced) 5-kb .cool file, contig by contig."""
    require_cooler()
    import cooler
    import pandas as pd

    sizes = pd.Series(lengths, dtype=np.int64)
    dated = path.with_name("dated.cool")
    cooler.create_cooler(
        str(dated),
        cooler.binnify(sizes, CONTACT_BIN),
        _pixel_tables(lengths, contigs),
        ordered=True,
        assembly="simulated",
        ensure_sorted=False,
    )
    _copy_without_date(dated, path)
    dated.unlink()


def write_settings(folder: Path, tf: str) -> None:
    """Write genomix.toml, so that the other commands need only ``--config``."""
    tracks = ", ".join(f'"{name}={name}.bw"' for name in track_names(tf))
    inputs = f'fasta = "genome.fa.gz"\ntrack = [{tracks}]\ncontacts = "contacts.cool"\n'
    text = "# Paths are relative to this file. Use: genomix COMMAND --config genomix.toml\n"
    for command in ("prepare.variants", "score", "explain"):
        text += f"\n[{command}]\n{inputs}"
        if command == "prepare.variants":
            text += 'vcf = "variants.vcf.gz"\n'
            text += 'label-info = "LABEL"\nprobability-info = "PROB"\n'
            text += 'assembly = "simulated"\n'
    (folder / "genomix.toml").write_text(text)


def _pixel_tables(lengths: dict[str, int], contigs: Iterable[Pixels]) -> Iterator[pd.DataFrame]:
    import pandas as pd

    offset = 0
    for length, pixels in zip(lengths.values(), contigs, strict=True):
        yield pd.DataFrame(
            {
                "bin1_id": pixels.bin1 + offset,
                "bin2_id": pixels.bin2 + offset,
                "count": pixels.counts,
            }
        )
        offset += -(-length // CONTACT_BIN)


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
    letters = _BASES[contig.codes].tobytes().decode()
    positions, first = np.unique(variants.alleles.position, return_index=True)
    last = np.append(first[1:], len(variants.label))
    columns = _allele_columns(variants, letters, motif_names)
    is_open, contact = variants.open[first], variants.contact[first]
    rows = zip(positions.tolist(), first.tolist(), last.tolist(), strict=True)
    for row, (position, a, b) in enumerate(rows):
        alt, tag_label, p, brk, delta, motif = (",".join(column[a:b]) for column in columns[1:])
        yield (
            f"{contig.name}\t{position + 1}\t.\t{columns[0][a]}\t{alt}\t.\tPASS\t"
            f"LABEL={tag_label};PROB={p};BREAK={brk};DELTA={delta};MOTIF={motif};"
            f"OPEN={is_open[row]:d};CONTACT={contact[row]:d}\n"
        )


def _allele_columns(
    variants: LabelledAlleles, letters: str, motif_names: list[str]
) -> tuple[list[str], ...]:
    """Return REF, ALT, LABEL, PROB, BREAK, DELTA and MOTIF of each allele as text."""
    alleles, broken = variants.alleles, variants.broken
    inserted = _BASES[alleles.inserted].tobytes().decode()
    width = alleles.inserted.shape[1]
    # Plain integers, since slicing a str by NumPy scalars is several times slower.
    columns = (alleles.position, alleles.start, alleles.end, alleles.n_inserted)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    ref, alt = [], []
    for row, (position, start, end, n) in enumerate(rows):
        ref.append(letters[position : max(end, position + 1)])
        alt.append(letters[position:start] + inserted[row * width : row * width + n])
    return (
        ref,
        alt,
        [f"{x:d}" for x in variants.label],
        [f"{x:.6g}" for x in variants.probability],
        [f"{x:.6g}" for x in broken.probability],
        [f"{x:.6g}" for x in broken.delta],
        [motif_names[m] if m >= 0 else "." for m in broken.motif],
    )


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
