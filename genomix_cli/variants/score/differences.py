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
    """Differences between alleles that a model predicts, and what is written of them.

    Attributes
    ----------
    outputs : tuple of Output
        Those that score variants, in the order of the model's own; none for a model that predicts
        no activity.
    averaged : tuple of str
        Names of those in the mean, each in standard deviations of its activity in training; one
        named twice counts twice.
    written : tuple of str
        Names of those with a field of their own.
    quantiles : bool
        Also give the rank of each of these among them.
    """

    outputs: tuple[Output, ...] = ()
    averaged: tuple[str, ...] = ()
    written: tuple[str, ...] = ()
    quantiles: bool = False

    @classmethod
    def of(
        cls, config: Predicted | None, *, quantiles: bool = False, cell: str = "", fields: str = ""
    ) -> Differences:
        """Return the differences that a network of this architecture gives.

        Parameters
        ----------
        config : Predicted, optional
        quantiles : bool
        cell : str
            Cell type whose output alone is the mean.
        fields : str
            Outputs to write; see `Predicted.written`.

        Raises
        ------
        UsageError
            If it has no output of this cell type, or none that is named in `fields`.
        """
        if config is None:
            return cls()
        averaged = (config.of_cell(cell),) if cell else config.averaged
        return cls(config.reported, averaged, config.written(fields), quantiles)

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
        for _, output in self._written():
            yield Tag(of_output(output.name), "Float", _meaning(output))
        for _, output in self._written() if self.quantiles else ():
            others = ", ".join(name for name in self.written if name != output.name)
            text = f"Share of {others} that the allele changes less than {output.name}"
            detail = "magnitudes, in standard deviations of the activity in training"
            yield Tag(of_cell(output.name), "Float", f"{text}: {detail}, by {{model}}")

    def _written(self) -> list[tuple[int, Output]]:
        """Return the outputs with a field, and their numbers among all."""
        return [(k, each) for k, each in enumerate(self.outputs) if each.name in self.written]

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
        written = self._written()
        each = {of_output(output.name): values[:, k] for k, output in written}
        if self.quantiles:
            sizes = np.stack([np.abs(values[:, k]) / np.float32(o.sd) for k, o in written], 1)
            shares = quantiles(sizes).astype(np.float32)
            each |= {of_cell(o.name): shares[:, i] for i, (_, o) in enumerate(written)}
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
