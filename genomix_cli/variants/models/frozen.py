"""A head on the features of a network that somebody else trained, and that stays as it is.

Both haplotypes go through the encoder of a folder (`genomix_cli.learning.encoders`). Its features
at the variant and their mean over the window, of ref and of alt - ref, go to the head of every
siamese model (and so those of alt, their sum), beside the tracks nearby. The run folder holds the
head alone, with the path and the digest of the encoder, which is read again from there.

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
        Bases around the variant; 0: as the encoder has it, 1,000 at most where it may read any.
    digest : str
        Digest of the encoder; found out when it is first read, and checked from then on.
    width : int
        F; found out likewise.
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
        Completed here by what the encoder says of itself.
    """

    config_class = FrozenConfig

    def __init__(self, config: FrozenConfig) -> None:
        encoder = open_encoder(config.encoder)
        if config.digest not in ("", encoder.digest):
            raise DataError(
                "is not the encoder that this model was trained with",
                where=encoder.folder,
                hint="put that one back there, with all its files",
            )
        bases = encoder.window(config.bases)
        # A trained model knows it, and reads the weights when it needs them.
        width = config.width or encoder.width(bases)
        path = str(encoder.folder.resolve())
        config = replace(config, encoder=path, bases=bases, digest=encoder.digest, width=width)
        super().__init__(config, 2 * width)
        self.encoder = encoder

    def read(self, codes: Tensor) -> Tensor:
        """``[..., H]`` -> uint8 ``[..., B]``."""
        return spelled(codes, self.config.bases, self.config.use_sequence)

    def encode(self, haplotypes: Tensor, tracks: Tensor, offset: Tensor) -> Tensor:
        """``[2 V, B]`` -> ``[2 V, 2 F]``; tracks are left to the head."""
        features = self.encoder(haplotypes)
        if features.shape[1] != 2 * self.config.width:
            raise UsageError(
                f"gives {features.shape[1] // 2} features",
                where=self.encoder.folder,
                expected=f"width={self.config.width}, as --set says",
            )
        return features
