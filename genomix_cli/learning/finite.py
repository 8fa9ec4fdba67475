"""Numbers that a model gave are numbers, or nobody gets to see them."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from genomix_cli.errors import GenomixError

F = TypeVar("F", bound=np.floating[Any])

CPU = "--device cpu says which"


def finite(values: NDArray[F], what: str, hint: str = CPU) -> NDArray[F]:
    """Return the answers of a model.

    Parameters
    ----------
    values : NDArray
    what : str
        One of them, as in "a logit".
    hint : str
        How to find out whether the model or the device is at fault.

    Raises
    ------
    GenomixError
        If one is NaN or infinite.
    """
    if not np.isfinite(values).all():
        raise GenomixError(
            f"the model returned {what} that is not a number",
            hint=f"the model may be untrained, or the device unsound; {hint}",
        )
    return values
