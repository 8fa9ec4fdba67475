"""Numbered cases: a command, one damaged input file, and the result."""

from __future__ import annotations

import os
import random
import re
import shutil
import tempfile
from pathlib import Path

from tests.fuzz import corpus, forked
from tests.fuzz.mutations import mutate

_NAMES = re.compile(r"\{([^}]+)\}")
# Of commands whose result is printed, the first input: it is sealed, or packed with checksums.
CHECKED = (
    "inspect {sequences.h5}",
    "inspect {people.h5}",
    "inspect {shard.h5}",
    "inspect {sequence-run}",
    "inspect {few.bcf}",
    "score sequences {sequences.h5} -m {sequence-run}",
    "evaluate variants {scored.vcf.gz} --bootstrap 5",
)
TIMES = 6


def is_cheap(number: int) -> bool:
    """Return True for a case of a command that is tried more often than others."""
    weight, _ = _command(random.Random(number))
    return weight > 1


def _command(rng: random.Random) -> tuple[int, str]:
    """Draw a command by its weight."""
    return rng.choices(corpus.COMMANDS, [weight for weight, _ in corpus.COMMANDS])[0]


def try_case(number: int, folder: Path) -> str:
    """Run case `number` on the corpus in `folder`; return a fault as text, or nothing."""
    rng = random.Random(number)
    _, command = _command(rng)
    names = sorted(set(_NAMES.findall(command)))
    victim = rng.choice(names)
    with tempfile.TemporaryDirectory() as scratch:
        for name in names:
            _lay_out(folder, name, Path(scratch))
        part = _damage(Path(scratch) / victim, rng)
        arguments = _NAMES.sub(r"\1", command).split()
        ended = forked.run(arguments, Path(scratch))
        left = [p.name for p in Path(scratch).rglob("*.partial*")]
    fault = ended.fault or (f"left {left}" if left and ended.code else "")
    if not fault:
        return ""
    told = f"== case {number}: {fault}; genomix {' '.join(arguments)}; {part.name}"
    return f"{told}\n{(ended.err + ended.out)[-3000:]}"


def _lay_out(folder: Path, name: str, scratch: Path) -> None:
    """Links to a file and what belongs to it, or to the files of a folder."""
    for part in corpus.parts(folder, name):
        link = scratch / part.relative_to(folder)
        link.parent.mkdir(exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(part)


def _damage(path: Path, rng: random.Random) -> Path:
    """Replace the link to one part of an input by a damaged copy."""
    part = rng.choice(corpus.parts(path.parent, path.name))
    source = part.resolve()
    data = mutate(source.read_bytes(), rng)
    part.unlink()
    part.write_bytes(data)
    shutil.copystat(source, part)
    os.utime(part, ns=(source.stat().st_atime_ns, source.stat().st_mtime_ns))
    return part


def run_whole(command: str, folder: Path) -> forked.Outcome:
    """Run a command on files as they are."""
    with tempfile.TemporaryDirectory() as scratch:
        for name in set(_NAMES.findall(command)):
            _lay_out(folder, name, Path(scratch))
        return forked.run(_NAMES.sub(r"\1", command).split(), Path(scratch))


def try_checksums(command: str, folder: Path) -> list[str]:
    """Change single bytes of the first input; return where the result was another one."""
    whole, rng, faults = run_whole(command, folder), random.Random(command), []
    names = _NAMES.findall(command)
    for _ in range(TIMES):
        with tempfile.TemporaryDirectory() as scratch:
            for name in names:
                _lay_out(folder, name, Path(scratch))
            part = rng.choice(corpus.parts(Path(scratch), names[0]))
            data = bytearray(part.read_bytes())
            place = rng.randrange(len(data))
            data[place] ^= 1 << rng.randrange(8)
            part.unlink()
            part.write_bytes(data)
            ended = forked.run(_NAMES.sub(r"\1", command).split(), Path(scratch))
        if ended.fault or (not ended.code and ended.out != whole.out):
            faults.append(f"byte {place} of {part.name}: {ended.fault or ended.out}")
    return faults
