"""Cross-validation folds of whole contigs: neighbouring variants share sequence and tracks."""

from __future__ import annotations

from collections.abc import Mapping

from genomix_cli.errors import UsageError


def contig_folds(n_folds: int, sizes: Mapping[str, int]) -> tuple[tuple[str, ...], ...]:
    """Distribute contigs, largest first, over folds of about equal total size.

    Parameters
    ----------
    n_folds : int
        Number of folds, 2 or more.
    sizes : mapping of str to int
        Size of each contig, in bases or variants.

    Returns
    -------
    tuple of tuple of str
        Contigs of each fold, in the order of `sizes`; each contig is in exactly one.

    Raises
    ------
    UsageError
        If there are fewer contigs than folds.
    """
    if not 2 <= n_folds <= len(sizes):
        raise UsageError(
            "cannot make folds of whole contigs",
            expected=f"2 to {len(sizes)} folds for {len(sizes)} contigs",
            found=str(n_folds),
        )
    load, count = [0] * n_folds, [0] * n_folds
    fold_of: dict[str, int] = {}
    for name in sorted(sizes, key=lambda name: -sizes[name]):
        fold = min(range(n_folds), key=lambda i: (load[i], count[i]))
        fold_of[name] = fold
        load[fold] += sizes[name]
        count[fold] += 1
    return tuple(tuple(n for n in sizes if fold_of[n] == i) for i in range(n_folds))
