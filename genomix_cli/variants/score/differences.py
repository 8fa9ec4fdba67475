"""Differences of predicted activity as fields of the output: one per assay and cell, and a mean.

Letters: G alleles, K outputs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genomix_cli.learning.activity import Output, Predicted
from genomix_cli.variants.score.tags import ACTIVITY, Tag, of_cell, of_output

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
    quantiles : bool
        Also give the rank of each among the outputs.
    """

    outputs: tuple[Output, ...] = ()
    averaged: tuple[str, ...] = ()
    quantiles: bool = False

    @classmethod
    def of(
        cls, config: Predicted | None, *, quantiles: bool = False, cell: str = ""
    ) -> Differences:
        """Return the differences that a network of this architecture gives.

        Parameters
        ----------
        config : Predicted, optional
        quantiles : bool
        cell : str
            Cell type whose output alone is the mean.

        Raises
        ------
        UsageError
            If it has no output of this cell type.
        """
        if config is None:
            return cls()
        averaged = (config.of_cell(cell),) if cell else config.averaged
        return cls(config.reported, averaged, quantiles)

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
        for output in self.outputs if self.quantiles else ():
            text = f"Share of the other outputs that the allele changes less than {output.name}"
            detail = "magnitudes, in standard deviations of the activity in training"
            yield Tag(of_cell(output.name), "Float", f"{text}: {detail}, by {{model}}")

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
        if self.quantiles:
            sizes = np.abs(values) / np.array([output.sd for output in self.outputs], "f4")
            shares = quantiles(sizes).astype(np.float32)
            each |= {of_cell(o.name): shares[:, k] for k, o in enumerate(self.outputs)}
        return {ACTIVITY: self.mean(values), **each}


def quantiles(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the share of an allele's other values that are less than each, ties counting half.

    Parameters
    ----------
    values : NDArray
        ``[n, C]``; C is 2 or more.

    Returns
    -------
    NDArray
        float64 ``[n, C]``: 0 for the least, 1 for the largest; NaN where a value is not known.
    """
    below = (values[:, :, None] > values[:, None, :]).sum(2)
    equal = (values[:, :, None] == values[:, None, :]).sum(2) - 1
    share = (below + equal / 2) / (values.shape[1] - 1)
    return np.where(np.isfinite(values).all(1, keepdims=True), share, np.nan)


def _meaning(output: Output) -> str:
    """Return the description of an output, in which braces stand for themselves."""
    kind = f"{output.assay} activity in {output.name}" if output.assay else output.name
    text = f"Predicted change of {kind}, alt - ref, {output.unit or 'log-odds'}, by "
    return text.replace("{", "{{").replace("}", "}}") + "{model}"
