"""Tables and figures of explained alleles, which appear only if the run ends without an error."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Self

from genomix_cli.genome.motif_sites import CONSENSUS, COVERED
from genomix_cli.genome.signal import BIN_SIZE
from genomix_cli.genome.source import RawGenome
from genomix_cli.genome.tracks import contact_file
from genomix_cli.outputs import atomic_path, make_folder, safe_name
from genomix_cli.provenance import Provenance
from genomix_cli.variants.explain.activity import UNIT
from genomix_cli.variants.explain.attribution import N_SHUFFLES
from genomix_cli.variants.explain.browser import BrowserFiles
from genomix_cli.variants.explain.explanation import (
    Explanation,
    motif_rows,
    mutation_rows,
    picture,
    rows,
)
from genomix_cli.variants.explain.motifs import AROUND, Enriched, MotifFinder
from genomix_cli.variants.explain.motifs import N_SHUFFLES as N_MOTIF_SHUFFLES
from genomix_cli.variants.explain.page import RunPage
from genomix_cli.variants.explain.plots import draw
from genomix_cli.variants.requests.explain import ExplainRequest, MotifOptions
from genomix_cli.variants.score.background import Background
from genomix_cli.variants.score.tags import ACTIVITY, DEMONSTRATION
from genomix_cli.variants.trained import LoadedModel

COLUMNS = (
    *("variant", "baseline", "feature", "part", "contig", "start", "end", "base"),
    *("attribution", "completeness_error"),
)
MUTATION_COLUMNS = ("variant", "part", "contig", "start", "end", "base", "to", "change")
ATTENTION_COLUMNS = ("variant", "contig", "start", "end", "source", "share")
MOTIF_COLUMNS = (
    *("variant", "baseline", "rank", "motif", "factor", "contig", "start", "end", "strand"),
    *("cover", "ref_score", "ref_p", "alt_score", "alt_p", "change"),
)
ENRICHED_COLUMNS = (
    *("motif", "factor", "baseline", "alleles", "of", "expected", "enrichment", "p", "q"),
)


class Writer(ExitStack):
    """Writer of the outputs of a run, which appear only if it ends without an error."""

    def __init__(
        self,
        request: ExplainRequest,
        loaded: LoadedModel,
        source: RawGenome,
        finder: MotifFinder | None = None,
        background: Background | None = None,
    ) -> None:
        super().__init__()
        self.request = request
        self.finder = finder
        self.tracks = source.tracks
        self.reads_window = loaded.module.reads_window
        self.contigs = source.contigs
        demonstration = " (demonstration weights)" if loaded.config.demonstration else ""
        self.note = f"{loaded.path.name}{demonstration}"
        self.provenance = _provenance(request, loaded)
        self._attention: IO[str] | None = None
        self._mutations: IO[str] | None = None
        self._motifs: IO[str] | None = None
        self._summary: IO[str] | None = None
        self._browser: BrowserFiles | None = None
        self._page: RunPage | None = None
        if request.report:
            files = loaded, tuple(self.contigs), self.tracks, self.note
            self._page = RunPage(request, *files, background)

    def __enter__(self) -> Self:
        note = "" if self.reads_window else f"attributions of {ACTIVITY}, in {UNIT}"
        self._table = self._open(self.request.output, COLUMNS, note)
        if self.request.attention:
            note = (
                "attention rollout, descriptive: shares of what [CLS] drew on, not what mattered; "
                "bins off the contig are left out"
            )
            self._attention = self._open(self.request.attention, ATTENTION_COLUMNS, note)
        if self.request.mutagenesis:
            note = f"change of activity ({UNIT}) if a base of a haplotype is replaced by another"
            self._mutations = self._open(self.request.mutagenesis, MUTATION_COLUMNS, note)
        self._open_motifs(self.request.motifs)
        if self.request.plot_dir:
            make_folder(self.request.plot_dir)
        if self.request.browser:
            files = self.request.browser, self.request.fasta, self.contigs, self.provenance
            self._browser = BrowserFiles(*files, force=self.request.force)
        return self

    def _open_motifs(self, options: MotifOptions) -> None:
        if self.finder is None:
            return
        note = (
            f"sites (FIMO, p <= {self.finder.p_value:.3g}) of at least {COVERED:g} times the "
            f"attribution per base within {AROUND} bp; scores in bits"
        )
        if options.table:
            self._motifs = self._open(options.table, MOTIF_COLUMNS, note)
        if options.summary:
            note += f"; expected: in {N_MOTIF_SHUFFLES} dinucleotide shuffles around each allele"
            self._summary = self._open(options.summary, ENRICHED_COLUMNS, note)

    def finish(self) -> None:
        """Write the outputs that need all alleles to be explained."""
        if self._summary and self.finder:
            for found in self.finder.enriched():
                _line(self._summary, *_enriched(found))
        if self._browser:
            self._browser.finish(with_motifs=self.finder is not None)
        if self._page:
            self._page.finish(self.provenance, self.finder)

    def _open(self, path: Path, columns: Sequence[str], note: str = "") -> IO[str]:
        draft = self.enter_context(atomic_path(path, force=self.request.force))
        handle = self.enter_context(draft.open("w"))
        lines = self.provenance.lines(*([("Note", note)] if note else []))
        handle.writelines(f"{line}\n" for line in (*lines, "\t".join(columns)))
        return handle

    def write(self, explanation: Explanation) -> None:
        """Add one variant to every output."""
        site = explanation.site
        for attribution in explanation.attributions:
            error = f"{attribution.error:.3g}"
            for row in rows(explanation, attribution, self.tracks):
                position = (row.feature, row.part, site.contig, row.start, row.end, row.base)
                value = f"{row.attribution:.6g}"
                _line(self._table, site.name, attribution.baseline, *position, value, error)
        if self._mutations:
            for fields in mutation_rows(explanation):
                _line(self._mutations, *fields)
        if self._motifs:
            for fields in motif_rows(explanation):
                _line(self._motifs, *fields)
        if self._attention and explanation.rollout:
            self._write_attention(self._attention, explanation)
        if self.request.plot_dir:
            path = self.request.plot_dir / f"{_stem(site.name)}.png"
            with atomic_path(path, force=self.request.force) as draft:
                draw(picture(explanation, self.tracks, self.note), draft)
        if self._browser:
            self._browser.write(explanation, _stem(site.name))
        if self._page:
            self._page.write(explanation)

    def _write_attention(self, handle: IO[str], explanation: Explanation) -> None:
        site, rollout = explanation.site, explanation.rollout
        assert rollout is not None
        end = site.allele.pos + len(site.allele.ref)
        own = f"{rollout.own.sum():.6g}"
        _line(handle, site.name, site.contig, site.allele.pos, end, "variant", own)
        for i, share in enumerate(rollout.bins):
            start = explanation.start + BIN_SIZE * i
            if 0 <= start < self.contigs[site.contig]:
                position = (site.contig, start, start + BIN_SIZE, "bin")
                _line(handle, site.name, *position, f"{share:.6g}")


def _line(handle: IO[str], *fields: object) -> None:
    handle.write("\t".join(map(str, fields)) + "\n")


def _enriched(found: Enriched) -> tuple[str, ...]:
    """Return the fields of `ENRICHED_COLUMNS`."""
    times = found.alleles / found.expected if found.expected else math.inf
    return (
        *(found.motif.accession or found.motif.name, found.motif.name, found.baseline),
        *(str(found.alleles), str(found.of), f"{found.expected:.3g}", f"{times:.3g}"),
        *(f"{found.p:.3g}", f"{found.q:.3g}"),
    )


def _stem(name: str) -> str:
    """Return the file name stem of an allele; long alleles are shortened."""
    contig, pos, ref, alt = name.rsplit(":", 3)
    return f"{safe_name(contig)}_{pos}_{ref[:50]}_{alt[:50]}"


def _provenance(request: ExplainRequest, loaded: LoadedModel) -> Provenance:
    settings: dict[str, object] = {
        "baselines": list(request.baselines),
        "steps": request.steps,
        "shuffles": N_SHUFFLES,
    }
    inputs: dict[str, Path | None] = {"variants": request.variants}
    if request.motifs.source not in (None, CONSENSUS):
        inputs["motifs"] = Path(str(request.motifs.source))
    return made_by(request, loaded, settings, inputs)


def made_by(
    request: ExplainRequest,
    loaded: LoadedModel,
    settings: dict[str, object],
    inputs: Mapping[str, Path | None],
) -> Provenance:
    """Return the provenance of an output: its own settings and inputs, and those of the genome."""
    files = {**inputs, "fasta": request.fasta}
    files |= {f"track {name}": path for name, path in request.tracks.items()}
    files["contacts"] = request.contacts and contact_file(request.contacts)
    if loaded.module.reads_window:
        settings["uncovered"] = request.uncovered or loaded.config.uncovered
        settings["max_gap_bins"] = loaded.config.max_gap_bins
    if request.cell:
        settings["cell"] = request.cell
    warnings = (DEMONSTRATION,) if loaded.config.demonstration else ()
    return Provenance.of(settings, files, request.seed, model=loaded.name, warnings=warnings)
