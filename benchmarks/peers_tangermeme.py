"""tangermeme's `substitution_effect` for `peers.py`; runs in tangermeme's own environment."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import pandas as pd
import torch
from peers_network import WINDOW, Variant, build, serve
from tangermeme.io import extract_loci
from tangermeme.variant_effect import substitution_effect

BASES = "ACGT"


def main() -> None:
    """Answer the requests of `peers.py`."""
    network = build()

    def score(fasta: Path, variants: list[Variant], batch: int) -> list[float]:
        # tangermeme centres a locus right of its middle base: shift it to match gReLU's window.
        rows = [(contig, pos, pos + 1) for contig, pos, _, _ in variants]
        loci = pd.DataFrame(rows, columns=["chrom", "start", "end"])
        windows = extract_loci(loci, str(fasta), in_window=WINDOW, n_jobs=1)
        place = WINDOW // 2 - 1
        expected = torch.tensor([BASES.index(ref) for _, _, ref, _ in variants])
        if not torch.equal(windows[:, :, place].argmax(1), expected):
            raise ValueError("the windows are not centred on the variants")
        changes = [(i, place, BASES.index(alt)) for i, (*_, alt) in enumerate(variants)]
        result = substitution_effect(
            network, windows, torch.tensor(changes), batch_size=batch, device="cpu"
        )
        effects = result.y_after - result.y_before
        if effects.shape != (len(variants), 1, 1):
            raise ValueError(f"{tuple(effects.shape)} for {len(variants)} variants")
        return effects[:, 0, 0].tolist()

    serve(version("tangermeme"), network, score)


if __name__ == "__main__":
    main()
