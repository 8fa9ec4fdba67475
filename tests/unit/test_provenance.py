"""Outputs say how they were made."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

from genomix_cli import __version__
from genomix_cli.provenance import Provenance, facts_of, sha256


def test_digest_of_a_file_and_of_a_folder(tmp_path: Path) -> None:
    one = tmp_path / "one"
    one.write_bytes(b"ACGT")
    assert sha256(one) == hashlib.sha256(b"ACGT").hexdigest()
    before = sha256(tmp_path)
    os.rename(one, tmp_path / "two")
    time.sleep(0.01)  # the digest is kept by size and time of change
    os.utime(tmp_path)
    assert sha256(tmp_path) != before


def test_provenance_names_inputs_without_folders(tmp_path: Path) -> None:
    fasta = tmp_path / "ref.fa"
    fasta.write_text(">a\nACGT\n")
    made = Provenance.of({"k": 6}, {"fasta": fasta}, seed=3).to_dict()
    assert made["inputs"] == {"fasta ref.fa": sha256(fasta)}
    assert made["version"] == __version__
    assert (made["seed"], made["config"]) == (3, {"k": 6})
    assert made["command"].startswith("genomix")


def test_lines_say_all_of_it_and_are_read_back() -> None:
    inputs, warnings = {"vcf a\xe9.vcf": "12", "fasta b.fa": "34"}, ("mind\nthe gap", "and this")
    made = Provenance(
        "genomix score", {"a": Path("b")}, 3, inputs, model="m", warnings=warnings
    ).lines(("Mode", "shared"))
    assert all(line.startswith("##genomix") for line in made)
    assert facts_of(["##source=another", *made, "CHROM\tPOS"]) == {
        "Version": [__version__],
        "Command": ["genomix score"],
        "Config": ['{"a": "b"}'],
        "Seed": ["3"],
        "Model": ["m"],
        "Input": ["vcf a\xe9.vcf sha256:12", "fasta b.fa sha256:34"],
        "Mode": ["shared"],
        "Warning": ["mind the gap", "and this"],
    }


def test_nothing_is_added_to_what_names_no_model() -> None:
    assert list(Provenance("genomix prepare").to_dict()) == [
        *("version", "command", "config", "seed", "inputs")
    ]


def test_a_name_that_is_no_utf_8_is_written_all_the_same() -> None:
    (command, *_) = Provenance("genomix score a\udcff.vcf").lines()[1:]
    assert command.encode() == b"##genomixCommand=genomix score a\\udcff.vcf"
