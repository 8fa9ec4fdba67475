"""Conditions under which scores are made.

The distribution of scores, and the probabilities they correspond to, depend on the inputs. Without
tracks, for example, the logits of a model trained with tracks have a different mean and spread.
Each background and each calibration is therefore stored with its conditions and used only under
these.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from genomix_cli.learning.calibration import Platt

#: Fields that must agree. Precision changes no percentile (decision 21) and is only recorded.
DECISIVE = ("tracks", "contacts", "uncovered", "both_strands", "mode")


@dataclass(frozen=True)
class Conditions:
    """Inputs and settings of a model run; None if unknown or irrelevant.

    Attributes
    ----------
    tracks : tuple of str, optional
        Tracks of the model that were given, in its order.
    contacts : bool, optional
        True if a contact map was given.
    uncovered : str, optional
        Meaning of bases without signal.
    both_strands : bool, optional
        True if scores were averaged over both strands.
    mode, precision : str, optional
    """

    tracks: tuple[str, ...] | None = None
    contacts: bool | None = None
    uncovered: str | None = None
    both_strands: bool | None = None
    mode: str | None = None
    precision: str | None = None

    def agree_with(self, other: Conditions) -> bool:
        """Return True if a result under these conditions also applies under the others."""
        pairs = ((getattr(self, name), getattr(other, name)) for name in DECISIVE)
        return all(a is None or b is None or a == b for a, b in pairs)

    def with_inputs(self, tracks: tuple[str, ...], contacts: bool | None) -> Conditions:
        """Return the conditions restricted to these inputs."""
        return replace(
            self, tracks=tracks, contacts=contacts, uncovered=self.uncovered if tracks else None
        )

    def without(self, *, tracks: bool = False, contacts: bool = False) -> Conditions:
        """Return the conditions with tracks or contacts withheld."""
        fewer = self.with_inputs((), self.contacts) if tracks else self
        return replace(fewer, contacts=False) if contacts else fewer

    def __str__(self) -> str:
        if self.tracks is None:
            return "inputs not stated"
        inputs = ["sequence", *self.tracks, *(["contacts"] if self.contacts else [])]
        details = [
            f"uncovered bases {self.uncovered}" if self.tracks and self.uncovered else None,
            "both strands" if self.both_strands else None,
            self.mode and f"{self.mode} windows",
            self.precision,
        ]
        what = " + ".join(inputs) if inputs[1:] else "sequence alone"
        return "; ".join([what, *filter(None, details)])


class Made(Protocol):
    """Object that was made under certain conditions."""

    @property
    def conditions(self) -> Conditions:
        """Conditions under which the object was made."""


M = TypeVar("M", bound=Made)


def holding(stored: Iterable[M], conditions: Conditions) -> M | None:
    """Return the first object whose conditions agree with these; None if there is none."""
    return next((each for each in stored if each.conditions.agree_with(conditions)), None)


@dataclass(frozen=True)
class Calibration:
    """Map from logit to probability, with the conditions under which it was fitted.

    Attributes
    ----------
    platt : Platt
    conditions : Conditions
    """

    platt: Platt
    conditions: Conditions = Conditions()

    @property
    def keeps_order(self) -> bool:
        """False if it inverts the order of scores, as a fit to few positives can."""
        return self.platt.slope > 0
