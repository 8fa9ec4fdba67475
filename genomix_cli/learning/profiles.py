"""BPNet, which predicts the total and the shape of a track's signal along a DNA sequence.

The sequences domain trains it (``genomix train --task profile``); the variants domain scores an
allele by the difference in predicted counts between two haplotypes.

Letters: B batch, L bases, C channels, K outputs (tracks), J control tracks, O bases of a profile.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool1d

from genomix_cli.config import Count, Extent, Within
from genomix_cli.errors import UsageError
from genomix_cli.learning.activity import Output, Predicted
from genomix_cli.learning.layers.convolution import WIDE, dilated_tower

TASK = "profile"
# A motif is a few of the hundreds of bases averaged. Without a gain, the counts head would need
# thousands of steps before it tells windows apart.
GAIN = 10.0
# Width in bases of the moving average of a control; odd, so that it is centred on a base.
SMOOTH = 51
#: Unit of predicted counts.
UNIT = "ln(1 + counts)"


@dataclass(frozen=True)
class ProfileConfig(Predicted):
    """Architecture of a BPNet.

    Attributes
    ----------
    outputs : tuple of Output
        One output per track.
    opposite : tuple of int
        For each track, the index of the track of the opposite strand; its own index if the track
        covers both strands.
    length : int
        Bases that the network reads, L.
    profile : int
        Bases of the predicted profile, O, in the middle of the L.
    width : int
        Channels, C.
    n_dilated : int
        Number of dilated convolutions; the last has a dilation of 2 to this power.
    summary : tuple of str
        See `Predicted`.
    controls : tuple of str
        Names of the J control tracks.
    control_opposite : tuple of int
        As `opposite`, for the control tracks.
    """

    outputs: tuple[Output, ...]
    opposite: tuple[int, ...]
    length: Extent = 1000
    profile: Extent = 800
    width: Count = 64
    n_dilated: Annotated[int, Within(0, 16)] = 9
    summary: tuple[str, ...] = ()
    controls: tuple[str, ...] = ()
    control_opposite: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        _refuse_no_pairs("opposite", self.opposite, len(self.outputs))
        _refuse_no_pairs("control_opposite", self.control_opposite, len(self.controls))
        if self.profile > self.length or (self.length - self.profile) % 2:
            raise UsageError(
                f"a profile of {self.profile:,} bases does not fit in the middle of the window",
                expected=f"at most {self.length:,}, with equally many bases on either side",
            )


def _refuse_no_pairs(name: str, opposite: tuple[int, ...], n: int) -> None:
    numbers = list(range(n))
    paired = sorted(opposite) == numbers
    if not paired or [opposite[i] for i in opposite] != numbers:
        raise UsageError(f"{name} does not pair tracks", found=str(list(opposite)))


class Answer(NamedTuple):
    """Predicted profiles and counts.

    Attributes
    ----------
    profile : Tensor
        float32 ``[B, K, O]``: log-probability that a read falls on each base, up to a constant.
    counts : Tensor
        float32 ``[B, K]``: ln(1 + total count) over the same bases.
    """

    profile: Tensor
    counts: Tensor


class ProfileModel(nn.Module):
    """Dilated convolutions at base resolution, with a profile head and a counts head.

    After Avsec et al. 2021 (doi:10.1038/s41588-021-00782-6): 64 channels, a convolution of width
    25, and nine residual ones of width 3 whose dilation doubles. A transposed convolution of width
    25 predicts the profile of each track and strand; a linear layer on the mean over all bases
    predicts the counts. The signal of control tracks at each base and around it is added to the
    profile with learned weights, and ln(1 + counts) of the controls to the counts. Neither has a
    constant term, so without a control nothing is added.

    Deviations:

    - Only the bases in the middle have a profile; the others are context.
    - The profile, a logarithm, gets ln(1 + counts) of a control. The authors' code adds the counts
      themselves.
    - Controls are averaged over 51 bases instead of 50.
    - A track that does not tell strands apart is a single output.
    - The counts head starts from the mean of training and reads ten times the mean over bases.
    - Predictions are averaged over both strands.

    Parameters
    ----------
    config : ProfileConfig
    """

    def __init__(self, config: ProfileConfig) -> None:
        super().__init__()
        self.config = config
        n_outputs = len(config.outputs)
        self.body = dilated_tower(config.width, config.n_dilated)
        self.profile = nn.ConvTranspose1d(config.width, n_outputs, WIDE, padding=WIDE // 2)
        self.counts = nn.Linear(config.width, n_outputs)
        with torch.no_grad():
            self.counts.bias.copy_(torch.tensor([output.mean for output in config.outputs]))
        if n := len(config.controls):
            self.control_profile = nn.Conv1d(2 * n, n_outputs, 1, bias=False)
            self.control_counts = nn.Linear(n, n_outputs, bias=False)
            nn.init.zeros_(self.control_profile.weight)
            nn.init.zeros_(self.control_counts.weight)

    def forward(self, p: Tensor, control: Tensor | None = None) -> Answer:
        """Predict profiles and counts from one strand.

        Parameters
        ----------
        p : Tensor
            ``[B, L, 4]``: probabilities of bases.
        control : Tensor, optional
            float32 ``[B, J, O]``: counts of the control tracks. If omitted, the prediction is based
            on the sequence only.
        """
        x = self.body(p.transpose(1, 2))
        # Keep the profile's bases, and those within reach of its last convolution.
        beside, reach = (self.config.length - self.config.profile) // 2, WIDE // 2
        first = max(0, beside - reach)
        seen = x[..., first : beside + self.config.profile + reach]
        profile = self.profile(seen).narrow(-1, beside - first, self.config.profile)
        answer = Answer(profile, self._counts(x))
        return answer if control is None else self._beside(answer, control)

    def _beside(self, answer: Answer, control: Tensor) -> Answer:
        """Add the contribution of control tracks, float32 ``[B, J, O]``."""
        around = avg_pool1d(control, SMOOTH, 1, SMOOTH // 2, count_include_pad=False)
        logs = torch.cat([control, around], 1).log1p()  # [B, 2 J, O]
        return Answer(
            answer.profile + self.control_profile(GAIN * logs),
            answer.counts + self.control_counts(GAIN * control.sum(-1).log1p()),
        )

    def _counts(self, x: Tensor) -> Tensor:
        """Predict ln(1 + counts) from the output of the body: ``[B, C, L]`` -> ``[B, K]``."""
        found: Tensor = self.counts(GAIN * x.mean(-1))
        return found

    def answers(self, p: Tensor, control: Tensor | None = None) -> Answer:
        """Predict from both strands and average: counts in log space, profiles as probabilities."""
        turned = control
        if control is not None:
            turned = control[:, list(self.config.control_opposite)].flip(-1)
        one, other = self(p, control), self(p.flip(1, 2), turned)
        other = Answer(*(each[:, list(self.config.opposite)] for each in other))
        profile = torch.logaddexp(
            one.profile.log_softmax(-1), other.profile.flip(-1).log_softmax(-1)
        )
        return Answer(profile, (one.counts + other.counts) / 2)

    def both_strands(self, p: Tensor, rows: tuple[int, ...]) -> Tensor:
        """Predict ln(1 + counts) of the outputs `rows` from the sequence, without controls.

        The result is averaged over both strands: ``[B, L, 4]`` -> float32 ``[B, K]``.
        """
        one, other = (self._counts(self.body(way.transpose(1, 2))) for way in (p, p.flip(1, 2)))
        opposite = [self.config.opposite[row] for row in rows]
        return (one[:, list(rows)] + other[:, opposite]) / 2
