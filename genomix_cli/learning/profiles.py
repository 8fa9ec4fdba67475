"""BPNet: the signal of a track along a DNA sequence, as its total and its shape.

The domain of sequences trains it (``genomix train --task profile``); that of variants scores an
allele by the difference of the counts of two haplotypes.

Letters: B batch, L bases, C channels, K outputs (tracks), J control tracks, O bases of a profile.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import avg_pool1d

from genomix_cli.config import Count, Extent, Within
from genomix_cli.errors import UsageError
from genomix_cli.learning.activity import DOMAIN, Output, Predicted, predicted_config
from genomix_cli.learning.activity import stored_network as stored
from genomix_cli.learning.layers.convolution import WIDE, dilated_tower

__all__ = ["DOMAIN", "TASK", "ProfileConfig", "ProfileModel", "profile_config", "stored_profiles"]

TASK = "profile"
# A motif is a few bases of the mean over hundreds: as it is, the head of counts would take
# thousands of steps to tell one window from another.
GAIN = 10.0
# Bases over which a control is averaged, beside each base by itself; odd, so that it has a middle.
SMOOTH = 51
#: Unit of the counts that are predicted.
UNIT = "ln(1 + counts)"


@dataclass(frozen=True)
class ProfileConfig(Predicted):
    """Architecture of a BPNet.

    Attributes
    ----------
    outputs : tuple of Output
        A track each.
    opposite : tuple of int
        Number of the track of the other strand; a track's own where it has both strands.
    length : int
        L.
    profile : int
        O, in the middle of them.
    width : int
        C.
    n_dilated : int
        Dilated convolutions; the dilation of the last is 2 to this power.
    summary : tuple of str
        See `Predicted`.
    controls : tuple of str
        Names of the J control tracks.
    control_opposite : tuple of int
        As `opposite`, of these.
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
                f"a profile of {self.profile:,} bases has no place in the middle",
                expected=f"{self.length:,} at most, and as many bases left on either side",
            )


def _refuse_no_pairs(name: str, opposite: tuple[int, ...], n: int) -> None:
    numbers = list(range(n))
    paired = sorted(opposite) == numbers
    if not paired or [opposite[i] for i in opposite] != numbers:
        raise UsageError(f"{name} pairs no tracks", found=str(list(opposite)))


class Answer(NamedTuple):
    """Profiles and counts that the network predicts.

    Attributes
    ----------
    profile : Tensor
        float32 ``[B, K, O]``: log-probabilities of a read's base, up to a constant.
    counts : Tensor
        float32 ``[B, K]``: ln(1 + counts) of the same bases.
    """

    profile: Tensor
    counts: Tensor


class ProfileModel(nn.Module):
    """Dilated convolutions at base resolution, with a head of profiles and one of counts.

    After Avsec et al. 2021 (doi:10.1038/s41588-021-00782-6): a convolution of 25, nine residual
    ones of 3 whose dilation doubles, 64 channels; a transposed convolution of 25 to the profile of
    each track and strand; the mean over all bases to its counts. What control tracks count at each
    base and around it is added to the profile with weights of its own, and ln(1 + counts) of them
    to the counts, without a constant: where there is no control, nothing is added. Deviations: the
    profile is that of the bases in the middle, the others are context; of a control the logarithm
    of 1 + counts is added to the profile, which is one too, where the authors' code adds the
    counts; it is averaged over 51 bases, not 50; where strands are not told apart, a track is one
    output; the head of counts starts from the mean of training and reads ten times the mean over
    bases, and answers are averaged over both strands.

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
        """Return what one strand says.

        Parameters
        ----------
        p : Tensor
            ``[B, L, 4]``: probabilities of bases.
        control : Tensor, optional
            float32 ``[B, J, O]``: counts of the control tracks. Without it the answer is what the
            sequence says by itself.
        """
        x = self.body(p.transpose(1, 2))
        # The bases in the middle, and those that reach into them.
        beside, reach = (self.config.length - self.config.profile) // 2, WIDE // 2
        first = max(0, beside - reach)
        seen = x[..., first : beside + self.config.profile + reach]
        profile = self.profile(seen).narrow(-1, beside - first, self.config.profile)
        answer = Answer(profile, self._counts(x))
        return answer if control is None else self._beside(answer, control)

    def _beside(self, answer: Answer, control: Tensor) -> Answer:
        """Add what control tracks say."""
        around = avg_pool1d(control, SMOOTH, 1, SMOOTH // 2, count_include_pad=False)
        logs = torch.cat([control, around], 1).log1p()  # [B, 2 J, O]
        return Answer(
            answer.profile + self.control_profile(GAIN * logs),
            answer.counts + self.control_counts(GAIN * control.sum(-1).log1p()),
        )

    def _counts(self, x: Tensor) -> Tensor:
        """Return ln(1 + counts) from what the body reads, ``[B, C, L]`` -> ``[B, K]``."""
        found: Tensor = self.counts(GAIN * x.mean(-1))
        return found

    def answers(self, p: Tensor, control: Tensor | None = None) -> Answer:
        """Return the mean of both strands, in which profiles are averaged as probabilities."""
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
        """Return counts of the outputs `rows` by sequence alone, ``[B, L, 4]`` -> ``[B, K]``."""
        one, other = (self._counts(self.body(way.transpose(1, 2))) for way in (p, p.flip(1, 2)))
        opposite = [self.config.opposite[row] for row in rows]
        return (one[:, list(rows)] + other[:, opposite]) / 2


def profile_config(arch: Mapping[str, Any], where: object) -> ProfileConfig:
    """Return an architecture from the plain data of a run folder.

    Raises
    ------
    DataError
        If this is none.
    """
    return predicted_config(ProfileConfig, arch, where)


def stored_profiles(
    arch: Mapping[str, Any], state: Mapping[str, NDArray[Any]], where: Path
) -> ProfileModel:
    """Build the model of a run folder, in evaluation mode.

    Parameters
    ----------
    arch : mapping
        A `ProfileConfig` as plain data.
    state : mapping of str to NDArray
        Its weights.
    where : Path
        The folder, for messages.

    Raises
    ------
    DataError
        If the weights do not fit the configuration, or this is none.
    """
    config = profile_config(arch, where)
    return stored(lambda: ProfileModel(config), state, where)
