"""Differences in predicted activity as output fields: one per assay and cell type, and a mean.

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
    """Activity differences that a model predicts, and the fields they are written to.

    Attributes
    ----------
    outputs : tuple of Output
        Outputs that score variants, in the model's order; empty for a model that predicts no
        activity.
    averaged : tuple of str
        Names of the outputs in the mean, each in standard deviations of its activity in training.
        A name that occurs twice counts twice.
    written : tuple of str
        Names of the outputs with a field of their own.
    quantiles : bool
        If True, also write the rank of each written output among them.
    """

    outputs: tuple[Output, ...] = ()
    averaged: tuple[str, ...] = ()
    written: tuple[str, ...] = ()
    quantiles: bool = False

    @classmethod
    def of(
        cls, config: Predicted | None, *, quantiles: bool = False, cell: str = "", fields: str = ""
    ) -> Differences:
        """Return the differences that a network of this architecture predicts.

        Parameters
        ----------
        config : Predicted, optional
        quantiles : bool
        cell : str
            Cell type whose output replaces the mean over all outputs.
        fields : str
            Outputs to write; see `Predicted.written`.

        Raises
        ------
        UsageError
            If the network has no output for `cell`, or lacks an output named in `fields`.
        """
        if config is None:
            return cls()
        averaged = (config.of_cell(cell),) if cell else config.averaged
        return cls(config.reported, averaged, config.written(fields), quantiles)

    @property
    def statistic(self) -> str:
        """Name of the statistic that ranks alleles."""
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
        for _, output in self._written():
            yield Tag(of_output(output.name), "Float", _meaning(output))
        for _, output in self._written() if self.quantiles else ():
            others = ", ".join(name for name in self.written if name != output.name)
            text = f"Share of {others} that the allele changes less than {output.name}"
            detail = "magnitudes, in standard deviations of the activity in training"
            yield Tag(of_cell(output.name), "Float", f"{text}: {detail}, by {{model}}")

    def _written(self) -> list[tuple[int, Output]]:
        """Return the outputs that have a field, each with its index among all outputs."""
        return [(k, each) for k, each in enumerate(self.outputs) if each.name in self.written]

    def weights(self) -> Floats:
        """Return the weight of each output in the mean, ``[K]``."""
        count = self.averaged.count
        return np.array([count(o.name) / len(self.averaged) / o.sd for o in self.outputs], "f4")

    def mean(self, values: Floats) -> Floats:
        """Return the mean of the outputs, ``[G, K]`` -> ``[G]``."""
        # Sum in a fixed order: a matrix product may round an allele differently in another batch.
        return (values * self.weights()).sum(1, dtype=np.float32)

    def columns(self, values: Floats) -> dict[str, Floats]:
        """Return the values of each field by key, ``[G, K]`` -> ``[G]`` each."""
        if not self.outputs:
            return {}
        written = self._written()
        each = {of_output(output.name): values[:, k] for k, output in written}
        if self.quantiles:
            sizes = np.stack([np.abs(values[:, k]) / np.float32(o.sd) for k, o in written], 1)
            shares = quantiles(sizes).astype(np.float32)
            each |= {of_cell(o.name): shares[:, i] for i, (_, o) in enumerate(written)}
        return {ACTIVITY: self.mean(values), **each}


def quantiles(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return for each value the fraction of the allele's other values below it; ties count half.

    Parameters
    ----------
    values : NDArray
        ``[n, C]``; C is 2 or more.

    Returns
    -------
    NDArray
        float64 ``[n, C]``: 0 for the smallest, 1 for the largest; NaN where a value is missing.
    """
    below = (values[:, :, None] > values[:, None, :]).sum(2)
    equal = (values[:, :, None] == values[:, None, :]).sum(2) - 1
    share = (below + equal / 2) / (values.shape[1] - 1)
    return np.where(np.isfinite(values).all(1, keepdims=True), share, np.nan)


def _meaning(output: Output) -> str:
    """Return the description of an output, with braces escaped for str.format."""
    kind = f"{output.assay} activity in {output.name}" if output.assay else output.name
    text = f"Predicted change of {kind}, alt - ref, {output.scale}, by "
    return text.replace("{", "{{").replace("}", "}}") + "{model}"
