"""Variant effects as the difference in predicted activity between two haplotypes.

The network is trained on sequences alone (``genomix train --task activity``). It reads the
sequence that an assay would test: no window, no tracks and no contacts.

Letters: W windows, G variants per window, P places, H haplotype bases, L bases that the network
reads, K outputs, F features of all its networks and constructs, d width.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from genomix_cli.formats.run_folder import CONFIG
from genomix_cli.learning.activity import (
    ActivityConfig,
    ActivityModel,
    Predicted,
    predicted_config,
    stored_network,
)
from genomix_cli.learning.activity_differences import both_strands, differences, standardised
from genomix_cli.variants.models.base import VariantModel, Variants
from genomix_cli.variants.models.sharing import Shared, take


class Activity(VariantModel):
    """Predicted activity of the alternate haplotype minus that of the reference.

    Both haplotypes are L bases long with the allele in the middle. An insertion or deletion shifts
    the bases after it; those before it stay in place.

    Parameters
    ----------
    network : ActivityModel
    """

    network: Any
    # Classes of the configuration and of the network.
    kinds: ClassVar[tuple[type[Predicted], Callable[[Any], nn.Module]]] = (
        ActivityConfig,
        ActivityModel,
    )
    has_attributions = True
    reads_window = False
    bases: Tensor

    def __init__(self, network: Any) -> None:
        super().__init__(network.config)
        self.network = network
        self.flank = network.config.length // 2
        self.outputs = network.config.reported
        self._rows = tuple(map(network.config.outputs.index, self.outputs))
        # Row 4: an unknown base.
        bases = torch.cat([torch.eye(4), torch.full((1, 4), 0.25)])
        self.register_buffer("bases", bases, persistent=False)

    @classmethod
    def activity_of(cls, arch: Mapping[str, Any], where: object = CONFIG) -> Predicted:
        """Return the architecture as a configuration."""
        return predicted_config(cls.kinds[0], arch, where)

    @classmethod
    def stored(
        cls, arch: Mapping[str, Any], state: Mapping[str, NDArray[Any]], where: Path
    ) -> Self:
        """Build the model of a run folder."""
        return cls(stored_network(*cls.kinds, arch, state, where))

    def differences(self, variants: Variants) -> Tensor:
        """Return alt minus ref of each reported output, float32 ``[W, G, K]``."""
        return self._differences(variants)

    def substitutions(self, variants: Variants) -> Tensor:
        """Return the same as `differences`, faster, for alleles that all substitute one base."""
        return self._differences(variants, self.flank)

    def _differences(self, variants: Variants, at: int | None = None) -> Tensor:
        ref, alt = (
            self.probabilities(codes).flatten(0, 1) for codes in (variants.ref, variants.alt)
        )
        found = differences(self.network, ref, alt, self._rows, at)
        return found.unflatten(0, variants.ref.shape[:2])

    def probabilities(self, codes: Tensor) -> Tensor:
        """Return base probabilities for the network: ``[W, G, H]`` -> ``[W, G, L, 4]``."""
        # A base hidden by pre-training counts as unknown.
        return self.bases[codes[..., : self.config.length].clamp(max=4).long()]

    def activity(self, p: Tensor) -> Tensor:
        """Return the mean activity of both strands: ``[W, G, L, 4]`` -> ``[W, G, K]``."""
        return self.network.both_strands(p.flatten(0, 1), self._rows).unflatten(0, p.shape[:2])


#: Gain on feature changes: an allele moves features about a tenth as far as sequences differ.
CHANGE_GAIN = 10.0


class ActivityTokens(nn.Module):
    """One token per variant from the features of its haplotypes in a sequence-activity network.

    Parameters
    ----------
    network : ActivityModel
    d_model : int
        d.
    tuned : bool
        If True, train the network as well.
    """

    def __init__(self, network: ActivityModel, d_model: int, tuned: bool) -> None:
        super().__init__()
        self.reader = Activity(network)
        self.tuned = tuned
        config = network.config
        # A network that only classifies reports no differences, but its features are still used.
        self._rows = tuple(map(config.outputs.index, config.reported or config.outputs))
        encoders = len(network.constructs(self._rows)) * len(network.members)
        self._features = encoders * network.network(0).encoder.features
        width = 2 * self._features + len(self._rows)
        self.token = nn.Sequential(
            nn.Linear(width, d_model), nn.GELU(), nn.Linear(d_model, d_model)
        )

    def train(self, mode: bool = True) -> ActivityTokens:
        """Set the mode; keep a frozen network in evaluation mode, so its statistics stay fixed."""
        super().train(mode)
        if not self.tuned:
            self.reader.eval()
        return self

    def forward(self, ref: Tensor, alt: Tensor) -> Tensor:
        """Return the tokens: two haplotypes ``[W, G, L, 4]`` -> ``[W, G, 1, d]``."""
        return self.token(self._read(ref, alt))[:, :, None]

    def with_null(self, ref: Tensor, alt: Tensor, shared: Shared) -> tuple[Tensor, Tensor]:
        """Return tokens and differences, reading each distinct haplotype only once.

        Returns
        -------
        tokens : Tensor
            ``[W, G + P, 1, d]``: tokens of the variants, then of "no change" at each place.
        differences : Tensor
            ``[W, G, K]``: alt minus ref for each reported output, in its units.
        """
        kinds, at = shared.kinds, self.reader.flank
        read = torch.cat(
            [
                self._read(take(ref, rows), take(alt, rows), place)
                for rows, place in ((kinds.substitutions, at), (kinds.others, None))
                if rows.shape[1]
            ],
            dim=1,
        )
        read = take(read, kinds.of)
        same = shared.places.pick(read).clone()
        same[..., self._features :] = 0
        sd = read.new_tensor([output.sd for output in self.reader.outputs])
        changes = read[..., 2 * self._features :][..., : len(sd)] * sd
        return self.token(torch.cat([read, same], dim=1))[:, :, None], changes

    def _read(self, ref: Tensor, alt: Tensor, at: int | None = None) -> Tensor:
        """Return features of ref, their change and the change in outputs, ``[W, G, 2 F + K]``.

        `at` is the index of the only base in which ref and alt differ, None if there may be more.
        """
        learns = self.tuned or ref.requires_grad or alt.requires_grad
        with torch.set_grad_enabled(torch.is_grad_enabled() and learns):
            of_ref, change, answers = self._of_pairs(ref.flatten(0, 1), alt.flatten(0, 1), at)
        read = torch.cat([of_ref, CHANGE_GAIN * change, answers], -1)
        return read.unflatten(0, ref.shape[:2])

    def _of_pairs(self, ref: Tensor, alt: Tensor, at: int | None) -> tuple[Tensor, Tensor, Tensor]:
        """Return features of ref and their change, ``[B, F]`` each, and the change in outputs."""
        strands = both_strands(self.reader.network, ref, alt, self._rows, at)
        features = [torch.cat([each.ref for each in strand], -1) for strand in strands]
        changes = [torch.cat([each.alt - each.ref for each in strand], -1) for strand in strands]
        of_ref, change = (torch.stack(each).mean(0) for each in (features, changes))
        return of_ref, change, standardised(strands, self._rows)
