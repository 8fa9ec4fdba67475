"""Conditions that scores are made under.

How scores are distributed, and what they mean as probabilities, depends on what the model was
given: without tracks, logits of a model that knows tracks have another spread and another mean. So
each background and each calibration is stored with its conditions and used under these alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from genomix_cli.learning.calibration import Platt

#: Only these decide: precision moves no percentile (decision 21), and is kept for the record.
DECISIVE = ("tracks", "contacts", "uncovered", "both_strands", "mode")


@dataclass(frozen=True)
class Conditions:
    """Inputs of a model and how it was run; None where that is not known or does not matter.

    Attributes
    ----------
    tracks : tuple of str, optional
        Tracks of the model that were measured, in its order.
    contacts : bool, optional
        True if there was a contact map.
    uncovered : str, optional
        Meaning of bases without signal.
    both_strands : bool, optional
        True for the mean of both strands.
    mode, precision : str, optional
    """

    tracks: tuple[str, ...] | None = None
    contacts: bool | None = None
    uncovered: str | None = None
    both_strands: bool | None = None
    mode: str | None = None
    precision: str | None = None

    def agree_with(self, other: Conditions) -> bool:
        """Return True if what holds under these conditions holds under the others."""
        pairs = ((getattr(self, name), getattr(other, name)) for name in DECISIVE)
        return all(a is None or b is None or a == b for a, b in pairs)

    def with_inputs(self, tracks: tuple[str, ...], contacts: bool | None) -> Conditions:
        """Return the conditions with these of the inputs alone."""
        return replace(
            self, tracks=tracks, contacts=contacts, uncovered=self.uncovered if tracks else None
        )

    def without(self, *, tracks: bool = False, contacts: bool = False) -> Conditions:
        """Return the conditions with the inputs named withheld."""
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
    """Something that was made under conditions."""

    @property
    def conditions(self) -> Conditions:
        """The conditions."""


M = TypeVar("M", bound=Made)


def holding(stored: Iterable[M], conditions: Conditions) -> M | None:
    """Return the first that was made under conditions that agree with these, if there is one."""
    return next((each for each in stored if each.conditions.agree_with(conditions)), None)


@dataclass(frozen=True)
class Calibration:
    """Logit to probability, under the conditions of the variants it was fitted to.

    Attributes
    ----------
    platt : Platt
    conditions : Conditions
    """

    platt: Platt
    conditions: Conditions = Conditions()

    @property
    def keeps_order(self) -> bool:
        """False if it turns scores around, as one fitted to few positives can."""
        return self.platt.slope > 0
