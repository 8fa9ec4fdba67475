"""Write values of single bases to a bigWig file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genomix_cli.outputs import atomic_path


class BigWigWriter:
    """Writer of a bigWig file; see :func:`new_bigwig`."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    def add(self, contig: str, starts: NDArray[np.int64], values: NDArray[np.float32]) -> None:
        """Add values of single bases.

        Parameters
        ----------
        contig : str
        starts : NDArray
            int64 ``[n]``: 0-based, strictly ascending over all calls for a contig. Contigs must
            come in the order of the header.
        values : NDArray
            float32 ``[n]``.
        """
        if not len(starts):
            return
        if int(starts[-1]) - int(starts[0]) == len(starts) - 1:  # contiguous: a single start
            span = {"values": values.tolist(), "span": 1, "step": 1}
            self._handle.addEntries(contig, int(starts[0]), **span)
            return
        self._handle.addEntries(
            np.full(len(starts), contig), starts, ends=starts + 1, values=values
        )


@contextmanager
def new_bigwig(
    path: Path, contigs: Mapping[str, int], *, force: bool = True
) -> Iterator[BigWigWriter]:
    """Yield a writer of a bigWig, which appears complete when the block ends without an error.

    Parameters
    ----------
    path : Path
    contigs : mapping of str to int
        Length of each contig, in writing order.
    force : bool
        Replace an existing file.

    Raises
    ------
    UsageError
        If the file exists and `force` is false.
    """
    import pyBigWig

    with atomic_path(path, force=force) as draft:
        handle = pyBigWig.open(str(draft), "w")
        try:
            handle.addHeader(list(contigs.items()))
            yield BigWigWriter(handle)
        finally:
            handle.close()
