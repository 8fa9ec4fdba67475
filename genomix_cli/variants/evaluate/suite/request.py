"""What an evaluation is asked for."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from genomix_cli.errors import UsageError
from genomix_cli.registry import VARIANT_BASELINES

Effect = Literal["absolute", "signed"]


@dataclass(frozen=True)
class SuiteRequest:
    """What ``genomix evaluate SHARD.h5`` was asked for.

    Attributes
    ----------
    shard : Path
        A genome shard with labels or effects.
    output : Path
        Folder of the report.
    models : tuple of str
        Run folders, or names that ship; the others are compared with the first.
    test_contigs : tuple of str
        The test part; default: that of the first run.
    test_regions : Path, optional
        BED of the test part, instead.
    variants : int
        At most this many of them, in whole stretches; 0: all.
    trust_runs : bool
        Take it that no run learned from the test part.
    baselines : tuple of str
        Names in the registry.
    train_variants : int
        That the baselines learn from, at most.
    peaks : Path, optional
        BED or narrowPeak; default: the strongest bins of the shard's first accessibility track.
    vcf : Path, optional
        With other scores of the variants in INFO.
    info : tuple of str
        Their keys.
    effect : {"absolute", "signed"}
        What of a quantitative label the scores are to follow.
    draws : int
        Of the bootstrap; 0: no intervals.
    device : str
    seed : int
    force : bool
        Replace an earlier report.
    """

    shard: Path
    output: Path
    models: tuple[str, ...]
    test_contigs: tuple[str, ...] = ()
    test_regions: Path | None = None
    variants: int = 0
    trust_runs: bool = False
    baselines: tuple[str, ...] = tuple(VARIANT_BASELINES)
    train_variants: int = 60_000
    peaks: Path | None = None
    vcf: Path | None = None
    info: tuple[str, ...] = ()
    effect: Effect = "absolute"
    draws: int = 1000
    device: str = "cpu"
    seed: int = 0
    force: bool = False

    def check(self) -> None:
        """Refuse what makes no sense.

        Raises
        ------
        UsageError
        """
        if not self.models:
            raise UsageError("no model", where="--model", expected="a run folder or a name")
        if len(set(self.models)) < len(self.models):
            raise UsageError("the same model twice", where="--model")
        if self.test_contigs and self.test_regions:
            raise UsageError("--test-contigs and --test-regions: give one of them")
        if bool(self.vcf) != bool(self.info):
            raise UsageError("--vcf and --info need each other")
        if self.effect not in get_args(Effect):
            expected = " or ".join(get_args(Effect))
            raise UsageError("no such effect", where="--effect", expected=expected)
        for name in self.baselines:
            if name not in VARIANT_BASELINES:
                expected = " or ".join(VARIANT_BASELINES)
                raise UsageError(f"unknown variant baseline {name!r}", expected=expected)

    def settings(self) -> dict[str, Any]:
        """Plain data, names of files without their folders."""
        plain = asdict(self)
        for name in ("shard", "output", "test_regions", "peaks", "vcf"):
            plain[name] = plain[name] and Path(plain[name]).name
        plain["models"] = [Path(name).name for name in self.models]
        return plain

    def inputs(self) -> dict[str, Path]:
        """The files that are read, by role."""
        files = {
            "shard": self.shard,
            "test regions": self.test_regions,
            "peaks": self.peaks,
            "vcf": self.vcf,
        }
        return {role: path for role, path in files.items() if path is not None}
