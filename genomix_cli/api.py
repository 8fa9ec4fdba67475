"""Python interface to the functions behind the commands, for notebooks and programs.

These names and their arguments do not change between minor versions. Nothing heavy is imported
before a function is called.
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from genomix_cli.errors import CheckError, DataError, GenomixError, UsageError

if TYPE_CHECKING:
    import pandas as pd

    from genomix_cli.formats.genome_shard import Shard
    from genomix_cli.variants.requests.score import ScoreRequest
    from genomix_cli.variants.score.blocks import ScoreSummary
    from genomix_cli.variants.trained import LoadedModel

__all__ = [
    "CheckError",
    "DataError",
    "GenomixError",
    "Run",
    "Scores",
    "UsageError",
    "load_model",
    "open_run",
    "open_shard",
    "score",
]

#: Value in a row; None if missing.
Value = str | int | float | None
_TYPES: dict[str, type] = {"String": str, "Integer": int, "Float": float}
# Columns of predictions to read as text, even if they look like numbers.
_NAMES = ("part", "contig", "ref", "alt", "tissue", "sample")


class Scores:
    """Scores of the alleles of a VCF, in VCF order; iterate over the rows, or call :meth:`frame`.

    The rows are stored in a temporary file that is deleted with the object, so memory does not grow
    with the number of variants until :meth:`frame` is called. Returned by :func:`score`.

    Attributes
    ----------
    summary : ScoreSummary
        Counts of records and alleles, reasons why alleles were not scored, device, and times.
    columns : list of str
        ``CHROM``, ``POS`` (1-based), ``ID``, ``REF``, ``ALT``, and the columns that the command
        writes.
    made : dict of str to list of str
        Provenance: version, command, SHA-256 of the model and the inputs, and warnings.
    """

    def __init__(self, request: ScoreRequest) -> None:
        from genomix_cli.genome.tables import how_made, leading_lines
        from genomix_cli.variants.score.cells import score_cells

        folder = tempfile.mkdtemp(prefix="genomix-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self._path = Path(folder) / "scores.tsv"
        self.summary: ScoreSummary = score_cells(replace(request, output=self._path))
        self.made = how_made(self._path)
        self.columns = leading_lines(self._path)[1].split("\t")

    def __iter__(self) -> Iterator[dict[str, Value]]:
        for values in self._rows():
            yield dict(zip(self.columns, values, strict=True))

    def _rows(self) -> Iterator[list[Value]]:
        from genomix_cli.genome.tables import open_table

        types = list(self._types.values())
        with open_table(self._path, comment="##") as table:
            for row in table.rows():
                yield [
                    None if text == "." else kind(text)
                    for kind, text in zip(types, row.cells, strict=True)
                ]

    @cached_property
    def _types(self) -> dict[str, type]:
        from genomix_cli.variants.score.annotate import LOCUS
        from genomix_cli.variants.score.context import CONTACTS, GENES
        from genomix_cli.variants.score.known import KNOWN
        from genomix_cli.variants.score.tags import CELL, REASON, SEEN, SOURCE

        types = {tag.key: _TYPES[tag.kind] for tag in (*GENES, *CONTACTS, *KNOWN)}
        types |= dict.fromkeys((*LOCUS, CELL, REASON, SEEN, SOURCE), str) | {"POS": int}
        return {name: types.get(name, float) for name in self.columns}

    def frame(self) -> pd.DataFrame:
        """Return all rows as a table; missing values are NaN, None or, for integers, NA."""
        import pandas as pd

        dtypes = {str: "object", int: "Int64", float: "float64"}
        columns: list[Any] = [*zip(*self._rows(), strict=True)]
        columns = columns or [()] * len(self.columns)
        return pd.DataFrame(
            {
                name: pd.Series(values, dtype=dtypes[kind])
                for (name, kind), values in zip(self._types.items(), columns, strict=True)
            }
        )


def score(
    vcf: str | Path | None = None,
    *,
    fasta: str | Path | None = None,
    tracks: Mapping[str, str | Path] | None = None,
    contacts: str | Path | None = None,
    uncovered: Literal["missing", "zero"] | None = None,
    genome: str | Path | None = None,
    cell: str = "",
    model: str | Path = "gmt-mini",
    regions: str | None = None,
    all_snvs: bool = False,
    check_ref: Literal["w", "e", "x"] = "w",
    both_strands: bool = False,
    genes: str | Path | None = None,
    known: Sequence[str | Path] = (),
    fields: str = "",
    quantiles: bool = False,
    device: str = "auto",
    threads: int = 0,
) -> Scores:
    """Score the alleles of a VCF, or every SNV in some regions, as ``genomix score`` does.

    Parameters
    ----------
    vcf : str or Path, optional
        VCF, VCF.gz or BCF; leave out with `all_snvs`.
    fasta : str or Path, optional
        Reference; not needed with `genome`.
    tracks : mapping of str to path, optional
        bigWig files by track name: ``ATAC``, or ``ATAC@K562`` with several cell types.
    contacts : str or Path, optional
        ``.cool``, or ``.mcool::/resolutions/5000``.
    uncovered : {"missing", "zero"}, optional
        Meaning of bases without signal; by default as in training.
    genome : str or Path, optional
        Shard of ``genomix prepare variants``, instead of `fasta`, `tracks` and `contacts`.
    cell : str
        Cell type whose activity to predict, or one of the cell types of a shard, or ``all``.
    model : str or Path
        Run folder, or the name of a model that ships with genomix.
    regions : str, optional
        Score only records with POS in these regions, such as ``chr1:1000-2000,chr2``.
    all_snvs : bool
        Instead of a VCF, score the three SNVs at each base of `regions`, or of the reference.
    check_ref : {"w", "e", "x"}
        If a REF differs from the FASTA: warn (``w``), stop (``e``), or leave out the record
        (``x``).
    both_strands : bool
        Average both strands, at twice the cost.
    genes : str or Path, optional
        GTF file; adds columns on the nearest transcription start site.
    known : sequence of path
        Indexed VCFs whose ID, CLNSIG and AF become columns.
    fields : str
        Outputs of an activity model to report beside the mean: comma-separated names, or ``all``.
    quantiles : bool
        Also report how each score of an allele ranks among its cell types or outputs.
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
    threads : int
        Number of threads; 0 uses all available.

    Returns
    -------
    Scores
        One row per ALT. Alleles that cannot be scored have a row with the reason.

    Raises
    ------
    UsageError
        If a file or the model does not exist, or arguments contradict each other.
    DataError
        If a file is damaged or belongs to another genome.
    CheckError
        If the REFs do not match the FASTA.
    """
    from genomix_cli.variants.requests.score import GenomeFiles, ScoreRequest, tracks_by_cell

    named = [f"{name}={path}" for name, path in (tracks or {}).items()]
    files = GenomeFiles(
        _path(fasta), tracks_by_cell(named), _path(contacts), uncovered, _path(genome), cell
    )
    files.check()
    request = ScoreRequest(
        _path(vcf),
        files,
        model=str(model),
        check_ref=check_ref,
        regions=regions,
        all_snvs=all_snvs,
        both_strands=both_strands,
        genes=_path(genes),
        known=tuple(map(Path, known)),
        fields=fields,
        quantiles=quantiles,
        device=device,
        threads=threads,
    )
    return Scores(request)


def load_model(model: str | Path = "gmt-mini", device: str = "cpu") -> LoadedModel:
    """Load a variant model.

    Parameters
    ----------
    model : str or Path
        Run folder, or the name of a model that ships with genomix.
    device : str
        ``cpu``, ``cuda`` or ``cuda:N``.

    Returns
    -------
    LoadedModel
        ``module`` (a `torch.nn.Module`, in evaluation mode), ``config``, ``path``, ``sha256``.

    Raises
    ------
    UsageError
        If the model does not exist.
    DataError
        If its files are damaged or do not belong together, or it is not a variant model.
    """
    from genomix_cli.learning.devices import resolve_device
    from genomix_cli.variants import trained

    return trained.load_model(model, resolve_device(device))


def open_shard(path: str | Path) -> Shard:
    """Open a shard of ``genomix prepare variants`` or ``prepare genome``.

    Everything is checked on opening; arrays are read-only views of the file.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    Shard
        ``contigs``, ``tracks``, ``variants`` (a table of arrays), ``codes(contig, start, end)``
        and ``signal(contig, first_bin, last_bin)``.

    Raises
    ------
    UsageError, DataError
        If the file does not exist, is not a shard, or is damaged.
    """
    from genomix_cli.formats import genome_shard

    return genome_shard.open_shard(Path(path))


@dataclass(frozen=True)
class Run:
    """Run folder written by ``genomix train``.

    Attributes
    ----------
    path : Path
    domain : str
        ``variants``, ``cohorts`` or ``sequences``.
    config : mapping
        Content of ``config.json``: the model and its provenance.
    metrics : mapping
        Performance on held-out data; empty if none were held out.
    """

    path: Path
    domain: str
    config: Mapping[str, Any]
    metrics: Mapping[str, Any]

    def predictions(self) -> pd.DataFrame:
        """Return the predictions for held-out items.

        Raises
        ------
        UsageError
            If the run has no predictions.
        MissingExtraError
            If the predictions are in Parquet and pyarrow is not installed.
        """
        import pandas as pd

        from genomix_cli.genome.parquet import read_parquet
        from genomix_cli.genome.tables import open_table

        path = self.path / "predictions.tsv"
        if not path.is_file():
            path = path.with_suffix(".parquet")
        if not path.is_file():
            raise UsageError("has no predictions", where=self.path)
        if path.suffix == ".parquet":
            return read_parquet(path)
        with open_table(path, comment="##") as table:
            frame = table.frame().reset_index(drop=True)
        numbers = frame.columns.difference(list(_NAMES))
        frame[numbers] = frame[numbers].apply(pd.to_numeric)
        return frame


def open_run(path: str | Path) -> Run:
    """Read a run folder of any domain.

    Parameters
    ----------
    path : str or Path

    Raises
    ------
    UsageError
        If the path is not the folder of a finished run.
    DataError
        If the run folder is damaged, or was written by a newer version.
    """
    from genomix_cli.formats.run_folder import RunFolder, read_json

    folder = RunFolder(path)
    domain = folder.domain
    metrics = folder.path / "metrics.json"
    return Run(
        folder.path,
        domain,
        folder.config(domain),
        read_json(metrics) if metrics.is_file() else {},
    )


def _path(value: str | Path | None) -> Path | None:
    return None if value is None else Path(value)
