"""A trainable head on the features of an external, frozen encoder.

Both haplotypes go through the encoder in a folder (`genomix_cli.learning.encoders`). The head is
that of every siamese model: it sees ref and alt - ref of the features at the variant and of their
mean over the window, beside the tracks nearby. The run folder stores only the head, with the path
and the digest of the encoder; the encoder is loaded from its own folder again.

Letters: V variants, B bases around the variant, F features of the encoder.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

from torch import Tensor

from genomix_cli.config import Whole, Within
from genomix_cli.errors import DataError, UsageError
from genomix_cli.learning.encoders.opening import open_encoder
from genomix_cli.variants.models.siamese import SiameseConfig, SiameseModel, spelled


@dataclass(frozen=True)
class FrozenConfig(SiameseConfig):
    """Architecture of a head on a frozen encoder.

    Attributes
    ----------
    encoder : str
        Folder of the encoder.
    bases : int
        Bases around the variant. 0 takes the encoder's own length, at most 1,000 if
        it reads any length.
    digest : str
        Digest of the encoder; computed at the first load and checked at each later one.
    width : int
        F; determined at the first load.
    """

    encoder: str = ""
    bases: Annotated[int, Within(0, 10_000_000)] = 0
    digest: str = ""
    width: Whole = 0


class Frozen(SiameseModel):
    """A head on an encoder's features of both haplotypes.

    Parameters
    ----------
    config : FrozenConfig
        Fields left empty are filled in from the encoder.
    """

    config_class = FrozenConfig

    def __init__(self, config: FrozenConfig) -> None:
        encoder = open_encoder(config.encoder)
        if config.digest not in ("", encoder.digest):
            raise DataError(
                "is not the encoder with which this model was trained",
                where=encoder.folder,
                hint="restore the original one there, with all its files",
            )
        bases = encoder.window(config.bases)
        # A trained model stores the width, so the encoder's weights can load lazily.
        width = config.width or encoder.width(bases)
        path = str(encoder.folder.resolve())
        config = replace(config, encoder=path, bases=bases, digest=encoder.digest, width=width)
        super().__init__(config, 2 * width)
        self.encoder = encoder

    def read(self, codes: Tensor) -> Tensor:
        """Return the bases that the encoder reads: ``[..., H]`` -> uint8 ``[..., B]``."""
        return spelled(codes, self.config.bases, self.config.use_sequence)

    def encode(self, haplotypes: Tensor, tracks: Tensor, offset: Tensor) -> Tensor:
        """Return features ``[2 V, B]`` -> ``[2 V, 2 F]``; only the head reads tracks."""
        features = self.encoder(haplotypes)
        if features.shape[1] != 2 * self.config.width:
            raise UsageError(
                f"gives {features.shape[1] // 2} features",
                where=self.encoder.folder,
                expected=f"width={self.config.width}, as --set says",
            )
        return features
