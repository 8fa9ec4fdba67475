"""Files for a genome browser: bigWig and bedGraph, alleles and motifs as BED, an IGV session."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from genomix_cli.genome.bigwig_writer import new_bigwig
from genomix_cli.genome.vcf.regions import Interval
from genomix_cli.outputs import atomic_path, make_folder
from genomix_cli.provenance import Provenance
from genomix_cli.report.letters import LINE_COLOUR, MOTIF_COLOURS
from genomix_cli.variants.explain.attribution import Attribution
from genomix_cli.variants.explain.explanation import Explanation, Instance, haplotype_positions
from genomix_cli.variants.explain.heat_map import Saturation
from genomix_cli.variants.records.inputs import MARGIN

ALLELES, MOTIFS, SESSION = "alleles.bed", "motifs.bed", "session.xml"
# Bases shown on either side of the first allele, or of the region, when the session opens.
SHOWN = 100


class Bases(NamedTuple):
    """Values of consecutive bases from `first` on (0-based): float64 ``[L]``, NaN if missing."""

    contig: str
    first: int
    values: NDArray[np.float64]

    def known(self, length: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return positions and values without NaN and without bases outside ``[0, length)``."""
        starts = self.first + np.flatnonzero(np.isfinite(self.values))
        starts = starts[(starts >= 0) & (starts < length)]
        return starts, self.values[starts - self.first].astype(np.float32)


class BrowserFiles:
    """Folder of genome-browser files for explained alleles or a region.

    Parameters
    ----------
    folder : Path
        Created if missing.
    fasta : Path
        Genome of the session.
    contigs : mapping of str to int
        Length of each contig, in the sort order of the files.
    made : Provenance
    force : bool
        Replace existing files.
    """

    def __init__(
        self,
        folder: Path,
        fasta: Path,
        contigs: Mapping[str, int],
        made: Provenance,
        *,
        force: bool,
    ) -> None:
        self.folder, self.fasta, self.contigs = folder, fasta, contigs
        self.made, self.force = made, force
        self._order = {contig: i for i, contig in enumerate(contigs)}
        self._names: dict[str, str] = {}
        self._shown: Interval | None = None
        self._alleles: list[tuple[object, ...]] = []
        self._motifs: dict[tuple[object, ...], None] = {}
        make_folder(folder)

    def write(self, explanation: Explanation, stem: str) -> None:
        """Write the bases of each attribution to files whose names begin with `stem`."""
        site = explanation.site
        for attribution in explanation.attributions:
            title = f"{site.name} ({attribution.baseline})"
            first, values = profile(explanation, attribution)
            values[values == 0] = np.nan
            bases = Bases(site.contig, first, values)
            self._write_bases(f"{stem}.{attribution.baseline}", title, bases, "attributions")
        end = max(site.allele.pos + len(site.allele.ref), site.allele.pos + 1)
        self._shown = self._shown or Interval(site.contig, site.allele.pos, end)
        change = explanation.attributions[0].change
        self._alleles.append((site.contig, site.allele.pos, end, f"{site.name} {change:+.3g}"))
        for found in chain.from_iterable(explanation.motifs):
            self._motifs[_motif_fields(site.contig, site.name, found)] = None

    def write_region(self, saturation: Saturation, stem: str) -> None:
        """Write the strongest change of each base."""
        bases = Bases(saturation.contig, saturation.start, saturation.strongest)
        end = bases.first + len(bases.values)
        self._shown = self._shown or Interval(bases.contig, bases.first, end)
        note = f"of three substitutions the change of largest magnitude ({saturation.unit})"
        title = f"{bases.contig}:{bases.first + 1}-{end} strongest change, {saturation.note}"
        self._write_bases(stem, title, bases, note)

    def finish(self, *, with_motifs: bool = False) -> None:
        """Write BED files of all alleles, if any, and the session that opens everything."""
        beds = {ALLELES: ("alleles", self._alleles)} if self._alleles else {}
        if with_motifs:
            beds[MOTIFS] = ("motifs", list(self._motifs))
        for name, (_, rows) in beds.items():
            self._write(name, self._bed(rows))
        titles = {name: title for name, (title, _) in beds.items()} | self._names
        self._write(SESSION, [self._session(titles)])

    def _write_bases(self, stem: str, title: str, bases: Bases, note: str) -> None:
        """Write the same values as bigWig and bedGraph; the session opens the bigWig."""
        starts, values = bases.known(self.contigs[bases.contig])
        name = f"{stem}.bw"
        with new_bigwig(self.folder / name, self.contigs, force=self.force) as bigwig:
            bigwig.add(bases.contig, starts, values)
        # Shortest digits that identify a float32, the precision of the bigWig.
        pairs = zip(starts.tolist(), values, strict=True)
        lines = (f"{bases.contig}\t{start}\t{start + 1}\t{value!s}" for start, value in pairs)
        self._write(f"{stem}.bedgraph", chain(self.made.lines(("Note", note)), lines))
        self._names[name] = title

    def _write(self, name: str, lines: Iterable[str]) -> None:
        with atomic_path(self.folder / name, force=self.force) as draft:
            draft.write_text("".join(f"{line}\n" for line in lines))

    def _bed(self, rows: Iterable[tuple[object, ...]]) -> Iterator[str]:
        yield from self.made.lines()
        for row in sorted(rows, key=lambda row: (self._order[str(row[0])], *row[1:3])):
            yield "\t".join(map(str, row))

    def _session(self, titles: Mapping[str, str]) -> str:
        """Return an IGV session with relative paths, so that the folder can be moved."""
        assert self._shown is not None
        contig, start, end = self._shown
        locus = f"{contig}:{max(1, start + 1 - SHOWN)}-{end + SHOWN}"
        genome = os.path.relpath(self.fasta.resolve(), self.folder.resolve())
        session = ElementTree.Element("Session", genome=genome, locus=locus, version="8")
        resources = ElementTree.SubElement(session, "Resources")
        for name, title in titles.items():
            ElementTree.SubElement(resources, "Resource", name=title, path=name)
        ElementTree.indent(session)
        head = '<?xml version="1.0" encoding="UTF-8"?>\n'
        return head + ElementTree.tostring(session, encoding="unicode")


def profile(explanation: Explanation, attribution: Attribution) -> tuple[int, NDArray[np.float64]]:
    """Return a position and the attribution of each reference base from there on.

    Inserted bases count towards the base that follows them. Lengths and tracks are left out.
    """
    first = explanation.start - MARGIN
    values = attribution.window.copy()
    allele, flank = explanation.site.allele, explanation.flank
    for of, length in ((attribution.ref, len(allele.ref)), (attribution.alt, len(allele.alt))):
        at = haplotype_positions(allele, length, flank, len(of)).start - first
        some = np.flatnonzero(of)
        np.add.at(values, at[some], of[some])
    return first, values


def _motif_fields(contig: str, allele: str, found: Instance) -> tuple[object, ...]:
    """Return a line of BED9; the score is -100 log10 of the better p-value."""
    colour = MOTIF_COLOURS.get(found.change, LINE_COLOUR)
    rgb = ",".join(str(int(colour[i : i + 2], 16)) for i in (1, 3, 5))
    score = round(min(1000.0, -100 * math.log10(max(found.better.p, 1e-10))))
    name = f"{found.motif.name} {found.change} {allele}"
    place = found.start, found.end
    return (contig, *place, name, score, found.better.strand, *place, rgb)
