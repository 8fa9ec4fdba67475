"""Encoders saved as TorchScript or exported programs, with an ``encoder.json`` for their inputs.

Letters: V haplotypes, B bases, T tokens, F features, k bases of a word.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from genomix_cli.config import Extent, Whole, from_dict
from genomix_cli.errors import DataError, UsageError, guarded
from genomix_cli.formats.run_folder import read_json
from genomix_cli.genome.alphabet import BASES
from genomix_cli.learning.encoders.base import Encoder, code_refused, is_trusted

SPEC = "encoder.json"
# The table of all longer words would not fit into memory.
MAX_WORD = 12


@dataclass(frozen=True)
class ProgramSpec:
    """Inputs and outputs of a program, as ``encoder.json`` states them.

    Attributes
    ----------
    program : str
        File in the same folder: ``.pt`` from ``torch.jit.save`` or ``.pt2`` from
        ``torch.export.save``.
    window : int
        Number of bases that the program reads, B.
    tokens : dict of str to int, optional
        Token id of every word of k bases; the program then reads int64 ``[V, T]``. Without it, the
        program reads one-hot bases, float32 ``[V, 4, B]``, rows A, C, G, T.
    stride : int
        Bases from the start of one word to the next; 0 means k.
    unknown : int
        Token id of words that contain anything but A, C, G and T.
    before, after : tuple of int
        Ids of special tokens before and after the words.
    channels_first : bool
        True if the program returns ``[V, F, T]`` instead of ``[V, T, F]``. ``[V, F]`` is accepted
        as well.
    """

    program: str
    window: Extent
    tokens: dict[str, int] | None = None
    stride: Whole = 0
    unknown: int = 0
    before: tuple[int, ...] = ()
    after: tuple[int, ...] = ()
    channels_first: bool = False


class ProgramEncoder(Encoder):
    """Program of torch that includes its weights."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.spec = from_dict(ProgramSpec, read_json(folder / SPEC), where=folder / SPEC)
        self.path = folder / Path(self.spec.program).name
        if not self.path.is_file():
            raise DataError("no such program", where=self.path)
        if self.path.suffix == ".pt2" and not is_trusted(folder):
            raise code_refused(folder, f"{self.path.name} may hold code that runs when it is read")
        self._k = 1
        self._numbers: Tensor | None = None
        if self.spec.tokens is not None:
            self._k, self._numbers = _table(self.spec.tokens, self.spec.unknown, folder / SPEC)

    @cached_property
    def _network(self) -> Any:
        with guarded(self.path, "the program"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if self.path.suffix == ".pt2":
                return torch.export.load(self.path).module()
            return torch.jit.load(str(self.path), map_location="cpu").eval()

    def window(self, bases: int) -> int:
        """Return the window of the specification, the only one that the program reads."""
        if bases not in (0, self.spec.window):
            raise UsageError(
                f"{self.folder.name} does not read {bases:,} bases",
                where="--set bases",
                expected=f"{self.spec.window:,}",
            )
        return self.spec.window

    def inputs(self, codes: Tensor) -> Tensor:
        """Return the input of the program: uint8 ``[V, B]`` -> ``[V, 4, B]`` or ``[V, T]``."""
        if self._numbers is None:
            return F.one_hot(codes.long(), 5)[..., :4].float().transpose(1, 2)
        runs = codes.long().unfold(1, self._k, self.spec.stride or self._k)  # [V, T, k]
        place = 4 ** torch.arange(self._k, device=codes.device).flip(0)
        words = ((runs & 3) * place).sum(-1).masked_fill((runs > 3).any(-1), -1)
        numbers = self._numbers.to(codes.device)[words]
        special = [numbers.new_tensor(s) for s in (self.spec.before, self.spec.after)]
        before, after = (s.long().expand(len(codes), -1) for s in special)
        return torch.cat([before, numbers, after], dim=1)

    def features(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Return features as `Encoder` does.

        The output positions are taken to divide the window evenly, or its middle if convolutions
        without padding have cut off both ends.
        """
        inputs = self.inputs(codes)
        # The profiling optimiser would make the first runs round differently from later ones.
        with torch.jit.optimized_execution(False):
            given = self._network.to(codes.device)(inputs)
        given = given[0] if isinstance(given, (tuple, list)) else given
        if given.ndim == 2:
            return given, given
        given = given.transpose(1, 2) if self.spec.channels_first else given  # [V, T, F]
        first, last = len(self.spec.before), len(self.spec.after)
        if self._numbers is not None and given.shape[1] == inputs.shape[1]:
            given = given[:, first : given.shape[1] - last]
        middle = given.shape[1] * (codes.shape[1] // 2) // codes.shape[1]
        return given[:, middle], given.mean(1)


def _table(tokens: Mapping[str, int], unknown: int, where: Path) -> tuple[int, Tensor]:
    """Return k and a table of token ids, indexed by word in base 4, with `unknown` at the end.

    Raises
    ------
    DataError
        If words differ in length, words are missing, or ids are not whole numbers from 0.
    """
    words = {word.upper(): number for word, number in tokens.items()}
    lengths = {len(word) for word in words}
    if len(lengths) != 1 or not 1 <= min(lengths) <= MAX_WORD:
        raise DataError(
            "its tokens are not words of one length",
            where=where,
            expected=f"1 to {MAX_WORD} bases",
            found=", ".join(map(str, sorted(lengths))),
        )
    if any(type(number) is not int or number < 0 for number in words.values()):
        raise DataError("token numbers must be whole numbers from 0 up", where=where)
    k = lengths.pop()
    every = ["".join(letters) for letters in product(BASES, repeat=k)]
    if lacking := [word for word in every if word not in words]:
        raise DataError(
            f"its tokens do not cover the alphabet: {len(lacking):,} are missing, "
            f"e.g. {lacking[0]}",
            where=where,
            expected=f"every word of {k} of {', '.join(BASES)}",
        )
    return k, torch.tensor([*(words[word] for word in every), unknown])
