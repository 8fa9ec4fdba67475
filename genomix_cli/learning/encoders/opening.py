"""Choice of the encoder class for a folder."""

from __future__ import annotations

from pathlib import Path

from genomix_cli.errors import UsageError
from genomix_cli.learning.encoders.base import Encoder
from genomix_cli.learning.encoders.hugging_face import CONFIG, HuggingFaceEncoder
from genomix_cli.learning.encoders.program import SPEC, ProgramEncoder


def open_encoder(name: str) -> Encoder:
    """Open the encoder in a folder without loading its weights.

    Raises
    ------
    UsageError
        If the folder has no encoder, or the encoder needs code that the user has not trusted.
    DataError
        If the encoder is damaged, or cannot read the four bases.
    MissingExtraError
        If a package is missing.
    """
    folder = Path(name).expanduser()
    if not name:
        raise UsageError("no encoder is set", where="--model frozen", hint="--set encoder=FOLDER")
    if (folder / SPEC).is_file():
        return ProgramEncoder(folder)
    if (folder / CONFIG).is_file():
        return HuggingFaceEncoder(folder)
    raise UsageError(
        "is not the folder of an encoder" if folder.is_dir() else "no such encoder",
        where=folder,
        expected=f"a folder with {CONFIG} and safetensors, or with {SPEC}",
    )
