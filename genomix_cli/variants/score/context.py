"""Annotation of alleles with nearby genes, as columns beside the score."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from genomix_cli.formats.genome_shard import open_shard
from genomix_cli.genome.contacts import BIN, REACH, Contacts
from genomix_cli.genome.genes import INTERGENIC, PARTS, read_genes
from genomix_cli.genome.vcf.reader import MISSING
from genomix_cli.variants.records.checks import Checked
from genomix_cli.variants.records.inputs import Allele
from genomix_cli.variants.records.reference import Reference
from genomix_cli.variants.requests.score import GenomeFiles
from genomix_cli.variants.score.tags import PREFIX, Tag

log = logging.getLogger("genomix")

_PARTS = ", ".join(f"{name}: {meaning}" for name, meaning in PARTS.items())
GENES = (
    Tag(PREFIX + "GENE", "String", "Gene with the nearest transcription start site"),
    Tag(
        PREFIX + "TSS",
        "Integer",
        "Distance from that site in the direction of transcription, bp; negative before it",
    ),
    Tag(
        PREFIX + "PART",
        "String",
        f"Part of a transcript, of several the first of these ({_PARTS}, {INTERGENIC}: none)",
    ),
    Tag(PREFIX + "PART_GENE", "String", "Genes of that part, joined by &"),
)
#: Written only if a contact map is given.
CONTACTS = (
    Tag(
        PREFIX + "CONTACT_GENE",
        "String",
        f"Gene whose promoter is most in contact, of those less than {REACH * BIN // 1000} kb away "
        f"and not in the same {BIN // 1000}-kb bin; none where no contact is above expected",
    ),
    Tag(PREFIX + "CONTACT", "Float", "log(observed/expected) of that contact"),
)
#: Function of contig, start and number of 5-kb bins that gives their contacts.
Matrix = Callable[[str, int, int], NDArray[np.float32]]
# Characters that a value of INFO cannot contain; & as separator follows VEP.
_RESERVED = str.maketrans({";": "&", ",": "&", "=": "_", " ": "_", "\t": "_"})


def plain(text: str) -> str:
    """Return text with the characters replaced that a value of INFO cannot contain."""
    return text.translate(_RESERVED)


class Contacting(NamedTuple):
    """Promoter with the strongest contact to a place, and that contact."""

    gene: str
    value: str


class GeneContext:
    """Columns for nearby genes.

    Parameters
    ----------
    path : Path
        GTF file of genes.
    reference : Reference
    files : GenomeFiles
        Source of the contacts, if any.

    Attributes
    ----------
    tags : tuple of Tag

    Raises
    ------
    DataError
        If a file cannot be read, or the genes are of another assembly.
    """

    def __init__(self, path: Path, reference: Reference, files: GenomeFiles) -> None:
        self._path = path
        self._genes = read_genes(path, reference.lengths)
        self._open = ExitStack()
        self._matrix = self._contacts(files)
        self.tags = (*GENES, *(CONTACTS if self._matrix else ()))
        # GTF contig name for each contig of the reference, or of the VCF if the reference lacks it.
        self._spelled: dict[str, str | None] = {}
        self._contacting = lru_cache(4096)(self._most_in_contact)

    def _contacts(self, files: GenomeFiles) -> Matrix | None:
        """Return the source of the contacts, the same that the model reads; None without any."""
        if files.contacts is not None:
            contacts = Contacts(files.contacts)
            self._open.callback(contacts.close)
            return contacts.matrix
        if files.shard is not None:
            shard = open_shard(files.shard)
            self._open.callback(shard.close)
            return shard.contacts if shard.has_contacts else None
        return None

    def close(self) -> None:
        """Close the files."""
        self._open.close()

    def texts(self, block: Sequence[Checked]) -> Iterator[Sequence[Sequence[str]]]:
        """Yield for each record the texts of each tag, one per ALT, scored or not."""
        for checked in block:
            contig = checked.contig or checked.record.chrom
            spelled = self._spell(contig)
            if spelled is None:
                yield [[MISSING] * len(checked.alleles)] * len(self.tags)
                continue
            rows = [self._row(contig, spelled, *_place(checked, a)) for a in checked.alleles]
            yield list(zip(*rows, strict=True))

    def _spell(self, contig: str) -> str | None:
        if contig not in self._spelled:
            found = self._spelled[contig] = self._genes.contigs.find(contig)
            if found is None:
                log.warning("%s: no genes on contig %s", self._path, contig)
            elif found != contig:
                log.info("%s: using its contig %s for %s", self._path, found, contig)
        return self._spelled[contig]

    def _row(self, contig: str, spelled: str, start: int, end: int) -> tuple[str, ...]:
        sites = self._genes.sites(spelled)
        i = sites.nearest(start)
        part = self._genes.part(spelled, start, end)
        row = (
            plain(self._genes.names[sites.gene[i]]),
            str((start - sites.pos[i]) * sites.strand[i]),
            part.name,
            "&".join(map(plain, part.genes)) or MISSING,
        )
        return row if self._matrix is None else (*row, *self._contacting(contig, start // BIN))

    def _most_in_contact(self, contig: str, bin: int) -> Contacting:
        """Return the promoter in another bin within `REACH` with the strongest contact.

        Only contacts above expected count.
        """
        assert self._matrix is not None
        spelled = self._spelled[contig]
        assert spelled is not None
        first, last = bin - REACH + 1, bin + REACH
        row = self._matrix(contig, first * BIN, last - first)[REACH - 1]
        sites = self._genes.sites(spelled)
        best, gene = 0.0, MISSING
        for i in sites.within(first * BIN, last * BIN):
            other = sites.pos[i] // BIN
            value = float(row[other - first])
            if other != bin and value > best:
                best, gene = value, plain(self._genes.names[sites.gene[i]])
        return Contacting(gene, MISSING if gene == MISSING else f"{best:.4g}")


def _place(checked: Checked, allele: Allele | None) -> tuple[int, int]:
    """Return the bases that an allele changes, 0-based and half-open; at least one."""
    if allele is not None:
        return allele.pos, allele.pos + max(len(allele.ref), 1)
    start = checked.record.pos - 1
    return start, start + len(checked.record.ref)
