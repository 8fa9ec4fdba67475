"""All pictures of a cohort, or of two side by side, and the page that shows them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from genomix_cli.cohorts.figures import copy_number, design, fragments, heat, mutations, values
from genomix_cli.cohorts.figures.beside import marginal_distributions
from genomix_cli.cohorts.figures.design import Named
from genomix_cli.cohorts.figures.marks import looks
from genomix_cli.cohorts.figures.view import View, classes_of, view
from genomix_cli.cohorts.inspect.overview import Listing
from genomix_cli.errors import UsageError
from genomix_cli.formats.cohort import Cohort
from genomix_cli.outputs import atomic_path
from genomix_cli.progress import track
from genomix_cli.report.canvas import Look, Picture, save, style
from genomix_cli.report.page import write_page

INDEX = "index.html"
MARK = '<meta name="generator" content="genomix inspect">'

Draw = Callable[[Sequence[View], dict[str, Look]], Picture | None]


class Part(NamedTuple):
    """A modality of one kind, the start of its pictures' names, and the cohorts that have it."""

    modality: str
    kind: str
    file: str
    cohorts: Named


_VALUES: tuple[Draw, ...] = (values.density, values.moments, values.components)
_METHYLATION: tuple[Draw, ...] = (values.density, heat.features_heat, values.components)
_COPY_NUMBER: tuple[Draw, ...] = (
    copy_number.gains_and_losses,
    copy_number.profile,
    copy_number.heat_map,
    copy_number.single_samples,
    values.density,
    values.components,
)
# Figures of each kind of modality, in the order of the page.
PICTURES: Mapping[str, tuple[Draw, ...]] = {
    "methylation": _METHYLATION,
    "methylation_m": _METHYLATION,
    "copy_number": _COPY_NUMBER,
    "copy_number_calls": _COPY_NUMBER,
    "fragments": (fragments.lengths, fragments.ratio_profile, values.density, values.components),
    "fragment_ratios": _VALUES,
    "chromatin": _VALUES,
    "expression": _VALUES,
    "mutations": (mutations.oncoplot, mutations.gene_frequencies, mutations.burden),
    "other": _VALUES,
}
WHOLE = (
    design.missingness,
    design.overlap,
    design.classes_by_batches,
    design.missing_by_batch,
    design.bayes,
)


def draw_cohorts(
    cohorts: Sequence[Cohort],
    folder: Path,
    listings: Sequence[Listing] = (),
    *,
    force: bool = False,
) -> tuple[str, ...]:
    """Draw a cohort, or two side by side, into a folder with an ``index.html``.

    Parameters
    ----------
    cohorts : sequence of Cohort
        One or two.
    folder : Path
    listings : sequence of Listing
        Tables for the page.
    force : bool
        Replace an earlier folder of pictures.

    Returns
    -------
    tuple of str
        The files of the pictures.

    Raises
    ------
    UsageError
        If the folder exists and `force` is not set, or it holds something else.
    MissingExtraError
        If matplotlib is not installed.
    """
    folder = Path(folder)
    check_folder(folder, force)
    named = list(zip(called(cohorts), cohorts, strict=True))
    with atomic_path(folder, force=True) as draft, style():
        draft.mkdir()
        sections: dict[str, list[Picture]] = {}
        parts = _parts(named)
        steps = sum(len(PICTURES[part.kind]) + (len(part.cohorts) == 2) for part in parts)
        for title, picture in track(_drawn(named, parts), "drawing", len(WHOLE) + steps):
            if picture is not None:
                save(picture, draft)
                # The figure holds all that was drawn.
                sections.setdefault(title, []).append(replace(picture, figure=None))
        write_page(
            "cohort_figures.html.j2",
            draft / INDEX,
            verb="inspect",
            title=" beside ".join(name for name, _ in named),
            command="",
            sections=sections,
            listings=listings,
        )
    return tuple(f"{picture.name}.png" for drawn in sections.values() for picture in drawn)


def check_folder(folder: Path, force: bool) -> None:
    """Refuse to replace what is not a folder of our pictures."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not force:
        raise UsageError("already exists", where=folder, hint="add --force to overwrite it")
    index = folder / INDEX
    if not (index.is_file() and MARK in index.read_text(errors="replace")):
        raise UsageError(
            "is not a folder of pictures, so --force does not replace it", where=folder
        )


def called(cohorts: Sequence[Cohort]) -> list[str]:
    """Return the names of the cohorts' files, numbered where they are the same."""
    names = [cohort.path.name.removesuffix(".h5mu") for cohort in cohorts]
    if len(set(names)) < len(names):
        return [f"{name} ({i + 1})" for i, name in enumerate(names)]
    return names


def _parts(cohorts: Named) -> list[Part]:
    """Return the modalities, those of one name and different kinds apart."""
    modalities = dict.fromkeys(name for _, cohort in cohorts for name in cohort.modalities)
    files = file_names([*modalities])
    parts = []
    for name in modalities:
        having = [pair for pair in cohorts if name in pair[1].modalities]
        kinds = dict.fromkeys(cohort.kinds[name].name for _, cohort in having)
        for kind in kinds:
            same = [pair for pair in having if pair[1].kinds[name].name == kind]
            file = files[name] + (f".{kind}" if len(kinds) > 1 else "")
            parts.append(Part(name, kind, file, same))
    return parts


def _drawn(cohorts: Named, parts: Sequence[Part]) -> Iterator[tuple[str, Picture | None]]:
    """Yield the section of the page that a picture belongs to, and the picture if there is one."""
    pens = looks(name for _, cohort in cohorts for name in classes_of(cohort).names)
    for draw in WHOLE:
        yield "Cohort", _renamed("cohort", draw(cohorts, pens))
    for modality, kind, file, having in parts:
        if len(having) == 2:
            yield modality, _renamed(file, marginal_distributions(modality, having))
        every = (view(cohort, name, modality) for name, cohort in having)
        views = [each for each in every if np.isfinite(each.values).any()]
        for draw_views in PICTURES[kind]:
            yield modality, _renamed(file, draw_views(views, pens) if views else None)


def _renamed(file: str, picture: Picture | None) -> Picture | None:
    return picture and replace(picture, name=f"{file}.{picture.name}")


def file_names(modalities: Sequence[str]) -> dict[str, str]:
    """Return for each modality a name that any file system takes, no two the same."""
    found: dict[str, str] = {}
    for name in modalities:
        plain = re.sub(r"[^\w.-]+", "_", name) or "modality"
        while plain.lower() in {taken.lower() for taken in found.values()}:
            plain += "_"
        found[name] = plain
    return found
