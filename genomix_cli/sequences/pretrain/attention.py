"""Table of the attention of each phenotype to the tokens of DNA."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from genomix_cli.formats.sequences import Sequences
from genomix_cli.sequences.models.alignment import Alignment, PhenotypeSpec
from genomix_cli.sequences.models.encoder import Encoder
from genomix_cli.sequences.score.retrieval import in_words
from genomix_cli.sequences.train.learning import PREDICT_BATCH


def attention_rows(
    module: Alignment,
    sequences: Sequences,
    rows: NDArray[np.int64],
    values: NDArray[np.float32],
    phenotypes: tuple[PhenotypeSpec, ...],
) -> list[dict[str, Any]]:
    """Return the mean attention of each phenotype over all sequences and over each class.

    There is one row per phenotype, class and DNA token, with the bases (columns, for aligned
    sequences) that the token covers, 0-based and half-open.
    """
    own = values[rows]
    sums: dict[tuple[int, str], Any] = defaultdict(int)
    counts: dict[tuple[int, str], int] = defaultdict(int)
    device = module.scale.log_scale.device
    for start in range(0, len(rows), PREDICT_BATCH):
        part = slice(start, start + PREDICT_BATCH)
        with torch.inference_mode():
            tokens = module.profile(torch.from_numpy(own[part]).to(device))[1]
            codes = torch.from_numpy(np.array(sequences.codes[rows[part]])).to(device)
            weight = module.attention(tokens, module.dna(codes)[2]).double().cpu().numpy()
        for p, spec in enumerate(phenotypes):
            names = np.array(in_words(own[part][:, [p]], (spec,))[spec.name], object)
            known = [name for name in (spec.categories or ()) if (names == name).any()]
            for name, chosen in [("all", slice(None)), *((k, names == k) for k in known)]:
                each = weight[chosen, p]
                sums[p, name] += each.sum(0)
                counts[p, name] += len(each)
    return _attention_table(module.encoder, sequences, phenotypes, sums, counts)


def _attention_table(
    encoder: Encoder,
    sequences: Sequences,
    phenotypes: tuple[PhenotypeSpec, ...],
    sums: dict[tuple[int, str], NDArray[np.float64]],
    counts: dict[tuple[int, str], int],
) -> list[dict[str, Any]]:
    table = []
    for p, name in sorted(sums, key=lambda key: (key[0], key[1] != "all", key[1])):
        mean = sums[p, name] / counts[p, name]
        for token, value in enumerate(mean):
            start, end = covered(encoder, token)
            location: dict[str, Any] = {"token": token, "start": start, "end": end}
            if sequences.columns is not None:
                columns = sequences.columns
                contig = list(sequences.contigs)[columns.contig[start]]
                location |= {"contig": contig, "pos": int(columns.pos[start])}
            table.append(
                {
                    "phenotype": phenotypes[p].name,
                    "class": name,
                    "sequences": counts[p, name],
                    **location,
                    "attention": round(float(value), 8),
                    "times_even": round(float(value) * len(mean), 6),
                }
            )
    return table


def covered(encoder: Encoder, token: int) -> tuple[int, int]:
    """Return the range of bases that a token covers, 0-based and half-open."""
    start, end = encoder.stem.covered(token)
    return max(start, 0), min(end, encoder.config.length)
