"""Effects of variants as differences of the activity that their haplotypes are predicted to have.

The network is trained on sequences alone (``genomix train --task activity``). It reads what an
assay reads, so no window, no tracks and no contacts.

Letters: W windows, G variants per window, H haplotype bases, L bases that the network reads,
K outputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from genomix_cli.formats.run_folder import CONFIG
from genomix_cli.learning.activity import ActivityConfig, ActivityModel, activity_config
from genomix_cli.learning.activity_differences import differences
from genomix_cli.variants.models.base import VariantModel, Variants


class Activity(VariantModel):
    """Activity of the alternate haplotype less that of the reference.

    Both are L bases long with the allele in the middle; behind an insertion or deletion the bases
    that follow are shifted, and what precedes it stays in place.

    Parameters
    ----------
    network : ActivityModel
    """

    has_attributions = True
    reads_window = False
    bases: Tensor

    def __init__(self, network: ActivityModel) -> None:
        super().__init__(network.config)
        self.network = network
        self.flank = network.config.length // 2
        self.outputs = network.config.reported
        self._rows = tuple(map(network.config.outputs.index, self.outputs))
        # Row 4: an unknown base.
        bases = torch.cat([torch.eye(4), torch.full((1, 4), 0.25)])
        self.register_buffer("bases", bases, persistent=False)

    @staticmethod
    def activity_of(arch: Mapping[str, Any]) -> ActivityConfig:
        """Return the architecture as a configuration."""
        return activity_config(arch, CONFIG)

    def differences(self, variants: Variants) -> Tensor:
        """Return alt less ref of each reported output, float32 ``[W, G, K]``."""
        return self._differences(variants)

    def substitutions(self, variants: Variants) -> Tensor:
        """Return the same, faster, where all alleles are substitutions of one base."""
        return self._differences(variants, self.flank)

    def _differences(self, variants: Variants, at: int | None = None) -> Tensor:
        ref, alt = (
            self.probabilities(codes).flatten(0, 1) for codes in (variants.ref, variants.alt)
        )
        found = differences(self.network, ref, alt, self._rows, at)
        return found.unflatten(0, variants.ref.shape[:2])

    def probabilities(self, codes: Tensor) -> Tensor:
        """Return what the network reads of haplotypes: ``[W, G, H]`` -> ``[W, G, L, 4]``."""
        return self.bases[codes[..., : self.config.length].long()]

    def activity(self, p: Tensor) -> Tensor:
        """Return the mean activity of both strands: ``[W, G, L, 4]`` -> ``[W, G, K]``."""
        return self.network.both_strands(p.flatten(0, 1), self._rows).unflatten(0, p.shape[:2])
