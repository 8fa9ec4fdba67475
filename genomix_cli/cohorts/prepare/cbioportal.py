"""Read study folders of cBioPortal: their files, gene panels and clinical data.

The files are described at https://docs.cbioportal.org/file-formats/. Meta files determine the
role of each file; without them its name does.
"""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from genomix_cli.cohorts.prepare.clinical import Clinical, read_clinical
from genomix_cli.cohorts.prepare.mutations import Coverage, sequenced_samples, whole_exomes
from genomix_cli.errors import DataError, UsageError
from genomix_cli.genome.arms import ALIASES, ASSEMBLIES
from genomix_cli.genome.tables import is_missing, open_table, open_text, short_lines

log = logging.getLogger("genomix")

SAMPLE_ID, PATIENT_ID = "SAMPLE_ID", "PATIENT_ID"
#: Modalities of a study by role: the name and kind they get in a cohort.
MODALITIES = {
    "mutations": "mutations",
    "copy_number_calls": "copy_number_calls",
    "copy_number": "copy_number",
    "segments": "copy_number",
    "expression": "expression",
    "methylation": "methylation",
}
# Role by the genetic alteration type and data type of a meta file.
_META = {
    ("clinical", "sample_attributes"): "samples",
    ("clinical", "patient_attributes"): "patients",
    ("gene_panel_matrix", "gene_panel_matrix"): "gene_matrix",
    ("mutation_extended", "maf"): "mutations",
    ("copy_number_alteration", "discrete"): "copy_number_calls",
    ("copy_number_alteration", "log2-value"): "copy_number",
    ("copy_number_alteration", "seg"): "segments",
    ("mrna_expression", "continuous"): "expression",
    ("methylation", "continuous"): "methylation",
}
# File names by role, in either case, the preferred ones first.
_NAMES = {
    "samples": (r"data_clinical_samples?\.txt", r"data_clinical\.txt"),
    "patients": (r"data_clinical_patients?\.txt",),
    "gene_matrix": (r"data_gene_panel_matrix\.txt", r"data_gene_matrix\.txt"),
    "mutations": (
        r"data_mutations\.txt",
        r"data_mutations_extended\.txt",
        r"data_mutations.*\.txt",
    ),
    "copy_number_calls": (r"data_cna\.txt",),
    "copy_number": (r"data_log2_?cna\.txt",),
    "segments": (r"data_cna_hg\d+\.seg", r".*\.seg"),
    "expression": (r"data_mrna_seq_v2_rsem\.txt", r"data_mrna_.*\.txt", r"data_expression.*\.txt"),
    "methylation": (r"data_methylation_hm450\.txt", r"data_methylation.*\.txt"),
}
_Z_SCORES = re.compile(r"z-?_?scores?", re.IGNORECASE)
# Entries of a gene-panel matrix for samples whose genes were all sequenced.
_WHOLE = frozenset(["wes", "wxs", "wgs"])


@dataclass(frozen=True)
class Study:
    """Contents of a study folder.

    Attributes
    ----------
    folder : Path
    files : mapping of str to Path
        Files by role: a name of `MODALITIES`, samples, patients or gene_matrix.
    panels : tuple of Path
        Gene panels.
    case_list : Path, optional
        List of the sequenced samples.
    settings : mapping of str to mapping
        Contents of the meta file of each of `files`.
    """

    folder: Path
    files: Mapping[str, Path]
    panels: tuple[Path, ...]
    case_list: Path | None
    settings: Mapping[str, Mapping[str, str]]

    def inputs(self, modalities: Collection[str]) -> dict[str, Path]:
        """Return the files to read for these modalities, by role."""
        files = {
            f"study {what}": path
            for what, path in self.files.items()
            if what in modalities or what not in MODALITIES
        }
        if "mutations" in modalities:
            files |= {f"panel {path.name}": path for path in self.panels}
            files |= {"case list": self.case_list} if self.case_list else {}
        return files

    def assembly(self) -> str | None:
        """Return the assembly of the segments, if the study states it."""
        if "segments" not in self.files:
            return None
        stated = self.settings.get("segments", {}).get("reference_genome_id", "")
        name = re.search(r"hg\d+", self.files["segments"].name)
        assembly = stated or (name[0] if name else "")
        return assembly if assembly in {*ASSEMBLIES, *ALIASES} else None


def find_study(folder: Path, panels: Sequence[Path] = ()) -> Study:
    """Find the files of a study folder.

    Parameters
    ----------
    folder : Path
    panels : sequence of Path
        Further gene-panel files.

    Raises
    ------
    UsageError
        If it is not a folder, or holds no known file.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UsageError("is not a study folder", where=folder)
    metas = dict(_metas(folder))
    by_meta = _by_meta(folder, metas)
    files = {what: by_meta.get(what) or _by_name(folder, what) for what in _NAMES}
    known = {what: path for what, path in files.items() if path is not None}
    if not set(known) & set(MODALITIES):
        raise UsageError(
            "has none of the files of a cBioPortal study",
            where=folder,
            expected="data_mutations.txt, data_cna.txt, data_mrna_*.txt, ...",
            found=", ".join(sorted(p.name for p in folder.iterdir())[:6]) or "nothing",
        )
    own_panels = [p for p in _files(folder) if re.match(r"data_gene_panel(?!_matrix)", p.name)]
    own_panels += _files(folder / "gene_panels") if (folder / "gene_panels").is_dir() else []
    lists = [p for p in _files(folder / "case_lists") if p.name.startswith("cases_sequenced.")]
    settings = {
        what: metas[name] for what, path in known.items() if (name := _plain(path)) in metas
    }
    return Study(folder, known, (*own_panels, *panels), lists[0] if lists else None, settings)


def _files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_file()) if folder.is_dir() else []


def _plain(path: Path) -> str:
    return path.name.removesuffix(".gz")


def _metas(folder: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the contents of each meta file with the name of its data file."""
    for path in _files(folder):
        if path.name.startswith("meta_"):
            settings = read_settings(path)
            if "data_filename" in settings:
                yield settings["data_filename"], settings


def read_settings(path: Path) -> dict[str, str]:
    """Return the ``key: value`` lines of a file."""
    with open_text(path) as handle:
        pairs = [line.rstrip("\n").partition(":") for line in short_lines(handle, path)]
    return {key.strip(): value.strip() for key, colon, value in pairs if colon}


def _by_meta(folder: Path, metas: Mapping[str, Mapping[str, str]]) -> dict[str, Path]:
    here = {_plain(path): path for path in _files(folder)}
    by_role = defaultdict(list)
    for name, settings in metas.items():
        kind = settings.get("genetic_alteration_type", ""), settings.get("datatype", "")
        what = _META.get((kind[0].lower(), kind[1].lower()))
        if what is not None and name in here:
            by_role[what].append(here[name])
    return {what: _preferred(what, paths) for what, paths in by_role.items()}


def _by_name(folder: Path, what: str) -> Path | None:
    known = [path for path in _files(folder) if _rank(what, path) < len(_NAMES[what])]
    return _preferred(what, known) if known else None


def _preferred(what: str, paths: Sequence[Path]) -> Path:
    first, *others = sorted(paths, key=lambda path: _rank(what, path))
    for other in others:
        log.info("using %s for %s, not %s", first.name, what, other.name)
    return first


def _rank(what: str, path: Path) -> int:
    """Return the rank of a name among those for its role (lower is better), or their number."""
    patterns = _NAMES[what]
    if _Z_SCORES.search(path.name):
        return len(patterns)
    fits = [bool(re.fullmatch(name, _plain(path), re.IGNORECASE)) for name in patterns]
    return fits.index(True) if True in fits else len(patterns)


def study_clinical(study: Study, duplicates: str = "error") -> Clinical | None:
    """Return the samples of a study, with the data of their patients."""
    samples, patients = study.files.get("samples"), study.files.get("patients")
    if samples is None:
        return None if patients is None else read_clinical(patients, PATIENT_ID, duplicates)
    table = read_clinical(samples, SAMPLE_ID, duplicates)
    if patients is None or PATIENT_ID not in table.frame:
        return table
    more = read_clinical(patients, PATIENT_ID, duplicates).frame
    more = more.drop(columns=[name for name in more.columns if name in table.frame.columns])
    return Clinical(table.path, table.frame.join(more, on=PATIENT_ID))


def study_coverage(study: Study) -> Coverage | None:
    """Return the genes that were sequenced in each sample.

    The gene-panel matrix decides. A sample without a panel there counts as a whole exome if the
    list of sequenced samples has it, else as not sequenced. Without a matrix, all sequenced samples
    have the panel that the meta file names, else whole exomes.

    Returns
    -------
    Coverage or None
        None if the study does not say which samples were sequenced.

    Raises
    ------
    DataError
        If a panel has no file.
    """
    listed, source = _sequenced(study)
    matrix = study.files.get("gene_matrix")
    panel = study.settings.get("mutations", {}).get("gene_panel")
    if matrix is None and panel is None:
        return whole_exomes(listed, source) if listed else None
    panels = dict(_read_panel(path) for path in study.panels)
    if matrix is None:
        genes = _genes([str(panel)], panels, study.folder) if listed else {}
        return Coverage(dict.fromkeys(listed, str(panel)), genes, source) if listed else None
    panel_of = dict(_matrix_panels(matrix))
    of_sample = {sample: panel for sample, panel in panel_of.items() if not is_missing(panel)}
    whole = [s for s in listed if s not in of_sample]
    genes = _genes(sorted(set(of_sample.values())), panels, matrix)
    return Coverage(
        of_sample | dict.fromkeys(whole, "all"),
        genes | ({"all": None} if whole else {}),
        f"{matrix.name}" + (f" and {source}" if whole else ""),
    )


def _sequenced(study: Study) -> tuple[list[str], str]:
    """Return the sequenced samples, and the source of that information."""
    with open_table(study.files["mutations"]) as table:
        listed = sequenced_samples(table.comments)
    if listed or study.case_list is None:
        return listed, "#Sequenced_Samples"
    ids = read_settings(study.case_list).get("case_list_ids", "")
    return ids.split(), study.case_list.name


def _matrix_panels(path: Path) -> Iterator[tuple[str, str]]:
    with open_table(path) as table:
        columns = [i for i, name in enumerate(table.columns) if name.endswith("mutations")]
        if not columns:
            where = f"{path}:{table.header}"
            listed = ", ".join(table.columns)
            raise DataError("has no column for the mutations", where=where, found=listed)
        for row in table.rows():
            yield row.cells[0].strip(), row.cells[columns[0]].strip()


def _read_panel(path: Path) -> tuple[str, tuple[str, ...]]:
    settings = read_settings(path)
    genes = tuple(settings.get("gene_list", "").split())
    if "stable_id" not in settings or not genes:
        raise DataError(
            "is not a gene panel", where=path, expected="stable_id: and gene_list: lines"
        )
    return settings["stable_id"], tuple(dict.fromkeys(genes))


def _genes(
    named: Sequence[str], panels: Mapping[str, tuple[str, ...]], where: Path
) -> dict[str, tuple[str, ...] | None]:
    for name in named:
        if name not in panels and name.lower() not in _WHOLE:
            raise DataError(
                f"no file lists the genes of the panel {name}",
                where=where,
                found=f"panels {', '.join(panels) or 'none'}",
                hint="give the panel's file: --panel FILE",
            )
    return {name: panels.get(name) for name in named}
