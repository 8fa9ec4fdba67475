"""Find rows that the model has seen in training: they do not show how well it generalises.

Letters: n rows.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from genomix_cli.comparison.rules import TRAINING, TrainingAccuracy
from genomix_cli.errors import CheckError
from genomix_cli.formats.seen import NAME, TRAIN, VALID

#: Column of a table of scores: part of training in which the model has seen the row.
SEEN = "seen"
#: Ways to treat rows seen in training.
REFUSE, LEAVE_OUT, INCLUDE = "refuse", "leave-out", "include"


class Heeded(NamedTuple):
    """Rows to evaluate, bool ``[n]``, and notes for the reader of the result."""

    used: NDArray[np.bool_]
    notes: tuple[str, ...]


def heed(
    part: NDArray[Any] | None, used: NDArray[np.bool_], what: str, items: str, where: object
) -> Heeded:
    """Refuse, leave out or report rows that the model has seen in training.

    Parameters
    ----------
    part : NDArray or None
        str ``[n]``: part of training in which the model has seen each row, see
        `genomix_cli.formats.seen`; None if unknown.
    used : NDArray
        bool ``[n]``: rows with a label and a score.
    what : {"refuse", "leave-out", "include"}
    items : str
        Plural noun for the messages, such as ``samples``.
    where : object
        File of the scores.

    Raises
    ------
    CheckError
        If the model learned from some rows and `what` is "refuse", or no row is left.
    """
    if part is None:
        return Heeded(used, ())
    seen = {name: used & (part == name) for name in (TRAIN, VALID, NAME)}
    learned, tuned, named = (f"{int(rows.sum()):,}" for rows in seen.values())
    all_items, notes = f"{int(used.sum()):,} {items}", list[str]()
    if what == LEAVE_OUT:
        left = used & ~seen[TRAIN] & ~seen[VALID]
        if used.any() and not left.any():
            raise CheckError(
                f"the model has seen all {all_items} in training",
                where=where,
                hint="evaluate it on other data, or evaluate the run folder",
            )
        if count := int(used.sum() - left.sum()):
            notes.append(f"{count:,} of {all_items} were seen in training and are left out")
        used = left
    elif seen[TRAIN].any() and what == REFUSE:
        raise CheckError(
            f"the model learned from {learned} of the {all_items}: this would be {TRAINING}",
            where=where,
            expected=f"{items} that it has not seen",
            hint="score others, or evaluate the run folder, which has predictions for its "
            f"held-out data; or add --seen {LEAVE_OUT} or --seen {INCLUDE}",
        )
    elif seen[TRAIN].any():
        notes.append(TrainingAccuracy("the model", f"{learned} of the {all_items}"))
    if seen[VALID].any() and what != LEAVE_OUT:
        by = f"stopped, tuned or calibrated by {tuned} of the {all_items}"
        notes.append(f"the model was {by}: the result is a little too good")
    if seen[NAME].any():
        same = "have the name of one seen in training, and other values"
        notes.append(f"{named} of the {all_items} {same}: if they are the same, this is {TRAINING}")
    return Heeded(used, tuple(notes))
