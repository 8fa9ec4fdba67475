"""Options that several requests share, as types of their fields."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from genomix_cli.options import Option

# Panels of the help.
MODEL, RUNNING, GENOME = "Model", "Running", "Genome and tracks"
Device = Annotated[
    str,
    Option("cpu, cuda or cuda:N", env="GENOMIX_DEVICE", metavar="DEVICE", panel=RUNNING),
]
Threads = Annotated[int, Option("CPU threads; 0: all", min=0, env="GENOMIX_THREADS", panel=RUNNING)]
Seed = Annotated[int, Option("Random seed", min=0, panel=RUNNING)]
Epochs = Annotated[
    int | None,
    Option("Maximum epochs of every network, also of baselines", min=1, panel=MODEL),
]
WhatIsSeen = Annotated[
    Literal["refuse", "leave-out", "include"],
    Option("How to treat data seen in training; include: reports training accuracy"),
]
Draws = Annotated[int, Option("Bootstrap draws for the intervals; 0: none", "--bootstrap", min=0)]
AllowIncomplete = Annotated[bool, Option("Accept completeness errors above 1 %")]
Force = Annotated[bool, Option("Overwrite existing output")]
Fasta = Annotated[Path, Option("Reference FASTA", "--fasta -f", env="GENOMIX_FASTA")]
TRACK = Option(
    "bigWig, e.g. H3K27ac=k.bw or ATAC@K562=a.bw; repeatable",
    "--track -t",
    metavar="NAME=FILE",
    env="GENOMIX_TRACKS",
    panel=GENOME,
)
Tracks = Annotated[Mapping[str, Path], TRACK]
Contacts = Annotated[
    Path | None,
    Option(
        "Hi-C: .cool or .mcool[::/resolutions/N]",
        env="GENOMIX_CONTACTS",
        panel=GENOME,
        unless="genome",
    ),
]
TrainedModel = Annotated[
    str,
    Option("Run folder, or name of a bundled model", "--model -m", env="GENOMIX_MODEL",
           metavar="MODEL", model=True),
]  # fmt: skip
Table = Annotated[
    Path,
    Option("TSV, TSV.gz or Parquet to write; -: standard output", "-o --output", writes=True),
]
RunOutput = Annotated[Path, Option("Run folder to write", "-o --output", writes=True)]
Attributions = Annotated[Path, Option("TSV of attributions to write", "-o --output", writes=True)]
Page = Annotated[
    Path | None, Option("Self-contained HTML report to write", metavar="HTML", writes=True)
]
NAME_MOTIFS = Option(
    "Match attributions to motifs of a MEME file; or consensus: 12 built-in families",
    "--motifs",
    metavar="MEME",
    choices=("consensus",),
    open=True,
    reads=True,
)
Motifs = Annotated[str | None, NAME_MOTIFS]
PRECISIONS = ("auto", "32-true", "bf16-mixed", "16-mixed")
Precision = Annotated[
    str, Option("Numerical precision", choices=PRECISIONS, open=True, panel=RUNNING)
]
Resume = Annotated[bool, Option("Resume from the last checkpoint in the run folder")]
MultiQC = Annotated[Path | None, Option("Folder for MultiQC sections", metavar="DIR", writes=True)]
Stats = Annotated[
    Path | None, Option("JSON file for counts and timings", metavar="FILE.json", writes=True)
]
