"""Variant effects as the difference in predicted counts between two haplotypes.

The network is trained on genomic windows with a signal at each base (``genomix train --task
profile``). Like an activity network, it reads no window, no tracks and no contacts.

Letters: W windows, G variants per window, H haplotype bases, L bases that the network reads,
K outputs.
"""

from __future__ import annotations

from torch import Tensor

from genomix_cli.learning.profiles import ProfileConfig, ProfileModel
from genomix_cli.variants.models.activity import Activity
from genomix_cli.variants.models.base import Variants


class Profile(Activity):
    """Predicted log counts of the alternate haplotype minus those of the reference.

    Parameters
    ----------
    network : ProfileModel
    """

    network: ProfileModel
    kinds = (ProfileConfig, ProfileModel)

    def _differences(self, variants: Variants, at: int | None = None) -> Tensor:
        # Each allele has the same row in batches of equal size, so rounding affects both alike.
        ref, alt = (
            self.activity(self.probabilities(codes)) for codes in (variants.ref, variants.alt)
        )
        return alt - ref
