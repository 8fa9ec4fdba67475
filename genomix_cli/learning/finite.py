"""Check that a model's outputs are finite before anything uses them."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from genomix_cli.errors import GenomixError

F = TypeVar("F", bound=np.floating[Any])

CPU = "--device cpu says which"


def finite(values: NDArray[F], what: str, hint: str = CPU) -> NDArray[F]:
    """Return the outputs of a model, or fail if they are not all finite.

    Parameters
    ----------
    values : NDArray
    what : str
        Noun for one value in the message, such as "a logit".
    hint : str
        Advice on how to find out whether the model or the device is at fault.

    Raises
    ------
    GenomixError
        If a value is NaN or infinite.
    """
    if not np.isfinite(values).all():
        raise GenomixError(
            f"the model returned {what} that is not a number",
            hint=f"the model may be untrained, or the device unsound; {hint}",
        )
    return values
