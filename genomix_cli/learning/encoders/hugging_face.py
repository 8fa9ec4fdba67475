"""Encoders in Hugging Face folders: ``config.json``, a tokenizer and weights in safetensors.

Letters: V haplotypes, B bases, T tokens, F features.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from functools import cached_property
from importlib.util import find_spec
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genomix_cli.errors import DataError, MissingExtraError, UsageError, guarded
from genomix_cli.formats.run_folder import read_json
from genomix_cli.genome.alphabet import BASES, decode
from genomix_cli.learning.encoders.base import TRUST, Encoder, code_refused, is_trusted, some_codes

CONFIG, TOKENIZER_CONFIG = "config.json", "tokenizer_config.json"
# Default window, if the network has enough positions.
DEFAULT_BASES = 1000
# Classes of `transformers` that a folder's own code may implement, in order of preference.
AUTO_CLASSES = ("AutoModel", "AutoModelForMaskedLM", "AutoModelForCausalLM")
# Parts of a network whose weights may be missing, since their outputs are not used.
UNREAD = {"pooler", "lm_head", "classifier", "score", "cls"}


class HuggingFaceEncoder(Encoder):
    """Model and tokenizer of `transformers`; features are the hidden states of the last layer."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        if find_spec("transformers") is None:
            raise MissingExtraError("transformers", "encoders")
        if not any(folder.glob("*.safetensors")):
            others = ", ".join(sorted(path.name for path in folder.glob("*.bin"))) or None
            raise DataError("has no weights in safetensors", where=folder, found=others)
        self.trusted = is_trusted(folder)
        self.own_code = self._own_code()
        self.config = self._configuration()
        with guarded(folder, "the tokenizer"):
            self.tokenizer = self._read("AutoTokenizer")
        self._check_alphabet()

    def _own_code(self) -> dict[str, str]:
        """Return the folder's own classes by the Auto class that each implements.

        Raises
        ------
        DataError
            If the folder is trusted and refers to code in another repository.
        """
        found: dict[str, str] = {}
        for name in (CONFIG, TOKENIZER_CONFIG):
            if (self.folder / name).is_file():
                found |= read_json(self.folder / name).get("auto_map", {})
        elsewhere = [code for code in map(str, found.values()) if "--" in code]
        if self.trusted and elsewhere:
            raise DataError(
                f"names code of another repository, {elsewhere[0]}, and nothing is downloaded",
                where=self.folder,
                hint="copy that code into the folder and name it there without the part before --",
            )
        return found

    def _configuration(self) -> Any:
        kind = read_json(self.folder / CONFIG).get("model_type")
        if not self.trusted and kind not in _transformers().CONFIG_MAPPING:
            if self.own_code:
                names = ", ".join(sorted({str(code) for code in self.own_code.values()}))
                raise code_refused(self.folder, f"needs code of its own ({names})")
            raise DataError(
                f"has a model type that transformers does not know: {kind}", where=self.folder
            )
        with guarded(self.folder / CONFIG):
            return self._read("AutoConfig")

    def _read(self, auto_class: str, **options: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return getattr(_transformers(), auto_class).from_pretrained(
                str(self.folder), local_files_only=True, trust_remote_code=self.trusted, **options
            )

    # Tokens

    def _check_alphabet(self) -> None:
        """Refuse a tokenizer that lacks a base, or whose tokens do not spell the sequence."""
        probe = decode(some_codes(1, 64)[0])
        unknown = self.tokenizer.unk_token_id
        with guarded(self.folder, "the tokenizer"):
            lacking = [base for base in BASES if unknown in self._ids(base * 12)]
            spelled = "".join(self._words[i] for i in self._ids(probe))
            self.special = self._special()
        if lacking:
            raise DataError(
                f"its tokenizer does not know {', '.join(lacking)}",
                where=self.folder,
                expected="a token for every base",
            )
        if spelled.upper() != probe:
            raise DataError(
                "its tokens do not spell the sequence, base by base",
                where=self.folder,
                expected=f"{probe[:16]}...",
                found=f"{spelled[:16]}...",
            )

    def _ids(self, text: str) -> list[int]:
        """Return the token ids of a text, without special tokens."""
        return self.tokenizer(text, add_special_tokens=False).input_ids

    def _spans(self, texts: list[str]) -> Iterator[tuple[list[int], NDArray[np.int64]]]:
        """Yield the token ids of each text, and the offset in bases of each token's end."""
        fast = self.tokenizer.is_fast
        found = self.tokenizer(texts, add_special_tokens=False, return_offsets_mapping=fast)
        lengths = np.array([len(word) for word in self._words])
        for i, ids in enumerate(found.input_ids):
            # One unknown token may cover several bases; only the tokenizer knows how many.
            ends = [end for _, end in found.offset_mapping[i]] if fast else np.cumsum(lengths[ids])
            yield ids, np.asarray(ends)

    @cached_property
    def _words(self) -> list[str]:
        """Bases that each token spells: none for special tokens, ``N`` for the unknown token."""
        tokens = self.tokenizer.convert_ids_to_tokens(list(range(len(self.tokenizer))))
        special = set(self.tokenizer.all_special_ids)
        words = ["" if i in special else str(token) for i, token in enumerate(tokens)]
        if self.tokenizer.unk_token_id is not None:
            words[self.tokenizer.unk_token_id] = "N"
        return words

    def _special(self) -> tuple[list[int], list[int]]:
        """Return the special tokens before and after a sequence."""
        text = BASES * 6
        bare, whole = self._ids(text), self.tokenizer(text).input_ids
        first = next(i for i in range(len(whole)) if whole[i : i + len(bare)] == bare)
        return whole[:first], whole[first + len(bare) :]

    @property
    def positions(self) -> int | None:
        """Maximum number of tokens, including special ones; None if there is no limit."""
        names = ("max_position_embeddings", "max_seq_len", "n_positions")
        stated = [getattr(self.config, name, None) for name in names]
        stated.append(self.tokenizer.model_max_length)
        # transformers uses 1e30 to mean no limit.
        limits = [int(n) for n in stated if n and n < 1 << 40]
        return min(limits, default=None)

    def window(self, bases: int) -> int:
        """Return the window in bases, as `Encoder` does; every token covers at least one base."""
        special = sum(map(len, self.special))
        if not bases:
            return min([DEFAULT_BASES, *([self.positions - special] if self.positions else [])])
        tokens = len(self._ids(decode(some_codes(1, bases)[0]))) + special
        if self.positions and tokens > self.positions:
            raise UsageError(
                f"a window of {bases:,} bases is {tokens:,} tokens",
                where="--set bases",
                expected=f"at most {self.positions:,}, the positions of {self.folder.name}",
            )
        return bases

    def _tokens(self, texts: list[str]) -> tuple[NDArray[np.int64], NDArray[np.int64], list[slice]]:
        """Return padded token ids ``[V, T]``, indices of middle tokens, and slices of the bases.

        The ids include special tokens, the slices do not. If a text has more tokens than the
        network has positions, as one with many unknown bases may, those nearest to the middle are
        kept.
        """
        before, after = self.special
        most = (self.positions or 1 << 40) - len(before) - len(after)
        rows, middles, insides = [], [], []
        for text, (ids, ends) in zip(texts, self._spans(texts), strict=True):
            middle = int(np.searchsorted(ends, len(text) // 2, side="right"))
            middle = min(middle, len(ids) - 1)
            first = max(0, min(middle - most // 2, len(ids) - most))
            ids = ids[first : first + most]
            rows.append([*before, *ids, *after])
            middles.append(len(before) + middle - first)
            insides.append(slice(len(before), len(before) + len(ids)))
        longest = max(map(len, rows))
        padding = self.tokenizer.pad_token_id or 0
        padded = np.array([row + [padding] * (longest - len(row)) for row in rows], np.int64)
        return padded, np.array(middles), insides

    # Features

    @cached_property
    def _network(self) -> Any:
        """Network with its weights; loading fails if they belong to another architecture."""
        of_own = [c for c in AUTO_CLASSES if self.trusted and c in self.own_code]
        auto_class = of_own[0] if of_own else "AutoModel"
        with guarded(self.folder, "the encoder"):
            network, loaded = self._read(
                auto_class,
                use_safetensors=True,
                output_loading_info=True,
                ignore_mismatched_sizes=True,
                dtype=torch.float32,
            )
        self._check_weights(network, loaded)
        # Task models return token scores first, and hidden states only on request.
        network.config.output_hidden_states = auto_class != "AutoModel"
        return network.eval().requires_grad_(False)

    def _check_weights(self, network: Any, loaded: dict[str, Any]) -> None:
        """Refuse weights that are missing, have another shape, or belong to no layer."""
        parts = tuple(f"{name}." for name, _ in network.named_children())
        prefix = f"{network.base_model_prefix}."
        own = {name for name, _ in network.named_parameters()}
        # Heads of other tasks and buffers of position ids may be left over.
        extra = [n for n in loaded["unexpected_keys"] if n.endswith((".weight", ".bias"))]
        problems = {
            "missing": [n for n in loaded["missing_keys"] if n in own and not _is_unread(n)],
            "of another shape": [str(n[0]) for n in loaded["mismatched_keys"]],
            "left over": [n for n in extra if n.removeprefix(prefix).startswith(parts)],
        }
        found = [f"{len(n)} {what}, as {min(n)}" for what, n in problems.items() if n]
        if not found:
            return
        hint = None
        if self.own_code and not self.trusted:
            hint = f"it has code of its own, which is not run: see {TRUST} in docs/encoders.md"
        raise DataError(
            f"its weights are those of another architecture than {type(network).__name__}",
            where=self.folder,
            found=f"of {len(own)} weights {'; '.join(found)}",
            hint=hint,
        )

    def features(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Return features as `Encoder` does; the mean is over all tokens except special ones."""
        network = self._network.to(codes.device)
        ids, middle, insides = self._tokens([decode(row) for row in codes.cpu()])
        inside = torch.zeros(ids.shape, device=codes.device)
        mask = torch.zeros_like(inside, dtype=torch.long)
        after = len(self.special[1])
        for row, part in enumerate(insides):
            inside[row, part] = 1
            mask[row, : part.stop + after] = 1
        # Networks without attention take no mask; they have one token per base, so no padding.
        masked = "attention_mask" in signature(network.forward).parameters
        options = {"attention_mask": mask} if masked else {}
        out = network(torch.from_numpy(ids).to(codes.device), **options)
        hidden = getattr(out, "last_hidden_state", None)
        if hidden is None:
            layers = getattr(out, "hidden_states", None)
            hidden = layers[-1] if layers else out[0]  # [V, T, F]
        weight = inside[..., None] / inside.sum(1)[:, None, None]
        own = hidden[torch.arange(len(hidden)), torch.from_numpy(middle)]
        return own, (hidden * weight).sum(1)


def _transformers() -> Any:
    """Import `transformers` with warnings silenced and network access disabled."""
    # Must be set before the first import, which otherwise checks for a newer version.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    return transformers


def _is_unread(name: str) -> bool:
    return not UNREAD.isdisjoint(name.split("."))
