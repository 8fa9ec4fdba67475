"""Files for a genome browser: attributions as bigWig, alleles and motifs as BED, an IGV session."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from genomix_cli.provenance import Provenance, atomic_path
from genomix_cli.report.letters import LINE_COLOUR, MOTIF_COLOURS
from genomix_cli.variants.explain.attribution import Attribution
from genomix_cli.variants.explain.explanation import Explanation, Instance, haplotype_positions
from genomix_cli.variants.records.inputs import MARGIN

ALLELES, MOTIFS, SESSION = "alleles.bed", "motifs.bed", "session.xml"
# Bases on either side of the first allele that the session shows.
SHOWN = 100


class BrowserFiles:
    """A folder of files about explained alleles.

    Parameters
    ----------
    folder : Path
        Created if need be.
    fasta : Path
        Genome of the session.
    contigs : mapping of str to int
        Their lengths, in the order in which the files are sorted.
    made : Provenance
    force : bool
        Replace files that exist.
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
        self._alleles: list[tuple[object, ...]] = []
        self._motifs: dict[tuple[object, ...], None] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def write(self, explanation: Explanation, stem: str) -> None:
        """Write a bigWig for each attribution; `stem` is what their names begin with."""
        site = explanation.site
        for attribution in explanation.attributions:
            name = f"{stem}.{attribution.baseline}.bw"
            with atomic_path(self.folder / name, force=self.force) as draft:
                _write_bigwig(draft, site.contig, self.contigs, profile(explanation, attribution))
            self._names[name] = f"{site.name} ({attribution.baseline})"
        end = max(site.allele.pos + len(site.allele.ref), site.allele.pos + 1)
        change = explanation.attributions[0].change
        self._alleles.append((site.contig, site.allele.pos, end, f"{site.name} {change:+.3g}"))
        for found in chain.from_iterable(explanation.motifs):
            self._motifs[_motif_fields(site.contig, site.name, found)] = None

    def finish(self, *, with_motifs: bool) -> None:
        """Write what holds all alleles: BED files, and the session that opens everything."""
        beds = {ALLELES: ("alleles", self._alleles)}
        if with_motifs:
            beds[MOTIFS] = ("motifs", list(self._motifs))
        for name, (_, rows) in beds.items():
            self._write(name, self._bed(rows))
        titles = {name: title for name, (title, _) in beds.items()} | self._names
        self._write(SESSION, [self._session(titles)])

    def _write(self, name: str, lines: Iterable[str]) -> None:
        with atomic_path(self.folder / name, force=self.force) as draft:
            draft.write_text("".join(f"{line}\n" for line in lines))

    def _bed(self, rows: Iterable[tuple[object, ...]]) -> Iterator[str]:
        yield from self.made.lines()
        for row in sorted(rows, key=lambda row: (self._order[str(row[0])], *row[1:3])):
            yield "\t".join(map(str, row))

    def _session(self, titles: Mapping[str, str]) -> str:
        """Return an IGV session: paths are relative to it, so that the folder can be sent."""
        contig, start, end, _ = self._alleles[0]
        locus = f"{contig}:{max(1, int(str(start)) + 1 - SHOWN)}-{int(str(end)) + SHOWN}"
        genome = os.path.relpath(self.fasta.resolve(), self.folder.resolve())
        session = ElementTree.Element("Session", genome=genome, locus=locus, version="8")
        resources = ElementTree.SubElement(session, "Resources")
        for name, title in titles.items():
            ElementTree.SubElement(resources, "Resource", name=title, path=name)
        ElementTree.indent(session)
        head = '<?xml version="1.0" encoding="UTF-8"?>\n'
        return head + ElementTree.tostring(session, encoding="unicode")


def profile(explanation: Explanation, attribution: Attribution) -> tuple[int, NDArray[np.float64]]:
    """Return the attribution of each reference base from a position on.

    Inserted bases count for the base that follows them; lengths and tracks have no base.
    """
    first = explanation.start - MARGIN
    values = attribution.window.copy()
    allele, flank = explanation.site.allele, explanation.flank
    for of, length in ((attribution.ref, len(allele.ref)), (attribution.alt, len(allele.alt))):
        at = haplotype_positions(allele, length, flank, len(of)).start - first
        some = np.flatnonzero(of)
        np.add.at(values, at[some], of[some])
    return first, values


def _write_bigwig(
    path: Path, contig: str, contigs: Mapping[str, int], of: tuple[int, NDArray[np.float64]]
) -> None:
    """Write the bases with an attribution; the allele's window may reach beyond the contig."""
    import pyBigWig

    first, values = of
    starts = first + np.flatnonzero(values)
    starts = starts[(starts >= 0) & (starts < contigs[contig])]
    handle = pyBigWig.open(str(path), "w")
    handle.addHeader(list(contigs.items()))
    if len(starts):
        names = np.full(len(starts), contig)
        handle.addEntries(names, starts, ends=starts + 1, values=values[starts - first])
    handle.close()


def _motif_fields(contig: str, allele: str, found: Instance) -> tuple[object, ...]:
    """Return a line of BED9; the score is -100 log10 of the better p-value."""
    colour = MOTIF_COLOURS.get(found.change, LINE_COLOUR)
    rgb = ",".join(str(int(colour[i : i + 2], 16)) for i in (1, 3, 5))
    score = round(min(1000.0, -100 * math.log10(max(found.better.p, 1e-10))))
    name = f"{found.motif.name} {found.change} {allele}"
    place = found.start, found.end
    return (contig, *place, name, score, found.better.strand, *place, rgb)
