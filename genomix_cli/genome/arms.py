"""Chromosome arms of the human assemblies."""

from __future__ import annotations

from dataclasses import dataclass

from genomix_cli.errors import UsageError

# Length, and boundary of p11 and q11 (UCSC cytoBand), in hg38 and in hg19.
_CHROMOSOMES = {
    "1": (248_956_422, 123_400_000, 249_250_621, 125_000_000),
    "2": (242_193_529, 93_900_000, 243_199_373, 93_300_000),
    "3": (198_295_559, 90_900_000, 198_022_430, 91_000_000),
    "4": (190_214_555, 50_000_000, 191_154_276, 50_400_000),
    "5": (181_538_259, 48_800_000, 180_915_260, 48_400_000),
    "6": (170_805_979, 59_800_000, 171_115_067, 61_000_000),
    "7": (159_345_973, 60_100_000, 159_138_663, 59_900_000),
    "8": (145_138_636, 45_200_000, 146_364_022, 45_600_000),
    "9": (138_394_717, 43_000_000, 141_213_431, 49_000_000),
    "10": (133_797_422, 39_800_000, 135_534_747, 40_200_000),
    "11": (135_086_622, 53_400_000, 135_006_516, 53_700_000),
    "12": (133_275_309, 35_500_000, 133_851_895, 35_800_000),
    "13": (114_364_328, 17_700_000, 115_169_878, 17_900_000),
    "14": (107_043_718, 17_200_000, 107_349_540, 17_600_000),
    "15": (101_991_189, 19_000_000, 102_531_392, 19_000_000),
    "16": (90_338_345, 36_800_000, 90_354_753, 36_600_000),
    "17": (83_257_441, 25_100_000, 81_195_210, 24_000_000),
    "18": (80_373_285, 18_500_000, 78_077_248, 17_200_000),
    "19": (58_617_616, 26_200_000, 59_128_983, 26_500_000),
    "20": (64_444_167, 28_100_000, 63_025_520, 27_500_000),
    "21": (46_709_983, 12_000_000, 48_129_895, 13_200_000),
    "22": (50_818_468, 15_000_000, 51_304_566, 14_700_000),
    "X": (156_040_895, 61_000_000, 155_270_560, 60_600_000),
    "Y": (57_227_415, 10_400_000, 59_373_566, 12_500_000),
}
ASSEMBLIES = {
    "hg38": {name: row[:2] for name, row in _CHROMOSOMES.items()},
    "hg19": {name: row[2:] for name, row in _CHROMOSOMES.items()},
}
ALIASES = {"GRCh38": "hg38", "GRCh37": "hg19"}

# Their short arms consist of repeats and rRNA genes, which no array or panel measures.
ACROCENTRIC = ("13", "14", "15", "21", "22")


@dataclass(frozen=True)
class Arm:
    """Chromosome arm.

    Attributes
    ----------
    name : str
        Such as ``8q``.
    contig : str
        Such as ``chr8``.
    start, end : int
        0-based, half-open.
    """

    name: str
    contig: str
    start: int
    end: int

    @property
    def length(self) -> int:
        """Number of bases."""
        return self.end - self.start


def arms(assembly: str = "hg38", sex: bool = False) -> tuple[Arm, ...]:
    """Return the arms of an assembly in genome order, without acrocentric short arms.

    Parameters
    ----------
    assembly : str
        hg38 or hg19, or their GRC names.
    sex : bool
        Include X and Y.

    Raises
    ------
    UsageError
        If the assembly is unknown.
    """
    table = ASSEMBLIES.get(ALIASES.get(assembly, assembly))
    if table is None:
        raise UsageError(
            "unknown assembly", expected=" or ".join([*ASSEMBLIES, *ALIASES]), found=assembly
        )
    result = []
    for chromosome, (length, centromere) in table.items():
        if chromosome in "XY" and not sex:
            continue
        if chromosome not in ACROCENTRIC:
            result.append(Arm(f"{chromosome}p", f"chr{chromosome}", 0, centromere))
        result.append(Arm(f"{chromosome}q", f"chr{chromosome}", centromere, length))
    return tuple(result)
