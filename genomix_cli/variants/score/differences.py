"""Differences of predicted activity as fields of the output: one per assay and cell, and a mean.

Letters: G alleles, K outputs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genomix_cli.learning.activity import ActivityConfig, Output
from genomix_cli.variants.score.tags import ACTIVITY, Tag, of_output

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Differences:
    """Outputs of a model whose differences between alleles are written.

    Attributes
    ----------
    outputs : tuple of Output
        In the order of the model's own; none for a model that predicts no activity.
    averaged : tuple of str
        Names of those in the mean, each in standard deviations of its activity in training; one
        named twice counts twice.
    """

    outputs: tuple[Output, ...] = ()
    averaged: tuple[str, ...] = ()

    @classmethod
    def of(cls, config: ActivityConfig | None) -> Differences:
        """Return the differences that a network of this architecture gives."""
        return cls() if config is None else cls(config.reported, config.averaged)

    @property
    def statistic(self) -> str:
        """Name of what ranks alleles."""
        return f"|{ACTIVITY}| ({self._named})"

    @property
    def _named(self) -> str:
        """Outputs in the mean, as ``HepG2, 2 x teacher``."""
        times = Counter(self.averaged)
        return ", ".join(name if n == 1 else f"{n} x {name}" for name, n in times.items())

    def tags(self) -> Iterator[Tag]:
        """Yield the fields: the mean, then the outputs."""
        if self.outputs:
            text = (
                f"Predicted change of activity, alt - ref: mean of {self._named}, "
                "each in standard deviations of the activity in training, by {model}"
            )
            yield Tag(ACTIVITY, "Float", text)
        for output in self.outputs:
            yield Tag(of_output(output.name), "Float", _meaning(output))

    def weights(self) -> Floats:
        """Return the weight of each output in the mean, ``[K]``."""
        count = self.averaged.count
        return np.array([count(o.name) / len(self.averaged) / o.sd for o in self.outputs], "f4")

    def mean(self, values: Floats) -> Floats:
        """Return the mean of the outputs, ``[G, K]`` -> ``[G]``."""
        # A sum over the outputs in order: a matrix product may round an allele by its company.
        return (values * self.weights()).sum(1, dtype=np.float32)

    def columns(self, values: Floats) -> dict[str, Floats]:
        """Return the values of each field, ``[G, K]`` -> ``[G]`` each, by its key."""
        if not self.outputs:
            return {}
        each = {of_output(o.name): values[:, k] for k, o in enumerate(self.outputs)}
        return {ACTIVITY: self.mean(values), **each}


def _meaning(output: Output) -> str:
    """Return the description of an output, in which braces stand for themselves."""
    kind = f"{output.assay} activity in {output.name}" if output.assay else output.name
    text = f"Predicted change of {kind}, alt - ref, {output.unit or 'log-odds'}, by "
    return text.replace("{", "{{").replace("}", "}}") + "{model}"
