"""Registries of plug-ins by name, which are loaded on first use.

A new model, simulator or input format takes one file and one line here; ``tests/contract`` then
tests it.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from genomix_cli.errors import UsageError


class Registry:
    """Names of one kind of plug-in, each pointing to ``"module:attribute"``.

    Parameters
    ----------
    kind : str
        Kind of the plug-ins, for error messages.
    entries : dict of str to str
        Name to ``"module:attribute"``.
    packages : dict of str to str, optional
        Additional package that a plug-in needs.
    """

    def __init__(
        self, kind: str, entries: dict[str, str], packages: dict[str, str] | None = None
    ) -> None:
        self.kind = kind
        self._entries = entries
        self._packages = packages or {}

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def installed(self) -> tuple[str, ...]:
        """Return the names of plug-ins whose own package is installed, without importing any."""
        packages = self._packages
        return tuple(n for n in self if n not in packages or find_spec(packages[n]))

    def load(self, name: str) -> Any:
        """Import and return the plug-in `name`.

        Raises
        ------
        UsageError
            If the name is unknown.
        """
        if name not in self._entries:
            raise UsageError(f"unknown {self.kind} {name!r}", expected=" or ".join(self._entries))
        module, attribute = self._entries[name].split(":")
        return getattr(import_module(module), attribute)


VARIANT_MODELS = Registry(
    "variant model",
    {
        "gmt": "genomix_cli.variants.models.gmt:GMT",
        "cnn": "genomix_cli.variants.models.cnn:CNN",
        "deepsea": "genomix_cli.variants.models.deepsea:DeepSEA",
        "basset": "genomix_cli.variants.models.basset:Basset",
        "enformer": "genomix_cli.variants.models.enformer:Enformer",
        "epigept": "genomix_cli.variants.models.epigept:EpiGePT",
        "bpnet": "genomix_cli.variants.models.bpnet:BPNet",
        "sei": "genomix_cli.variants.models.sei:Sei",
        "basenji2": "genomix_cli.variants.models.basenji2:Basenji2",
        "dnabert": "genomix_cli.variants.models.dnabert:DNABERT",
        "nucleotide-transformer": (
            "genomix_cli.variants.models.nucleotide_transformer:NucleotideTransformer"
        ),
        "frozen": "genomix_cli.variants.models.frozen:Frozen",
    },
)

# Networks from another domain that also score variants, by the task of their runs.
BORROWED_MODELS = Registry(
    "model of variants that another domain trains",
    {
        "activity": "genomix_cli.variants.models.activity:Activity",
        "profile": "genomix_cli.variants.models.profile:Profile",
    },
)

# Baselines for variant models.
VARIANT_BASELINES = Registry(
    "variant baseline",
    {
        "kmer-logistic": "genomix_cli.variants.evaluate.suite.baselines.kmers:KMER_LOGISTIC",
        "position": "genomix_cli.variants.evaluate.suite.baselines.boosting:POSITION",
        "tracks": "genomix_cli.variants.evaluate.suite.baselines.boosting:TRACKS",
        "nearest-peak": "genomix_cli.variants.evaluate.suite.baselines.nearest:NEAREST_PEAK",
    },
)

# The three published designs first, then the baselines.
COHORT_MODELS = Registry(
    "cohort model",
    {
        "omics-transformer": "genomix_cli.cohorts.models.omics_transformer:OmicsTransformer",
        "cancer-alpha": "genomix_cli.cohorts.models.cancer_alpha:CancerAlpha",
        "cross-modal-subtype": "genomix_cli.cohorts.models.cross_modal_subtype:CrossModalSubtype",
        "tab-transformer": "genomix_cli.cohorts.models.tab_transformer:TabTransformer",
        "mlp": "genomix_cli.cohorts.models.mlp:MLP",
        "tabm": "genomix_cli.cohorts.models.tabm:TabM",
        "realmlp": "genomix_cli.cohorts.models.realmlp:RealMLP",
        "logistic": "genomix_cli.cohorts.models.linear:Logistic",
        "elastic-net": "genomix_cli.cohorts.models.linear:ElasticNet",
        "lda": "genomix_cli.cohorts.models.linear:LDA",
        "svm": "genomix_cli.cohorts.models.svm:SVM",
        "random-forest": "genomix_cli.cohorts.models.trees:RandomForest",
        "gradient-boosting": "genomix_cli.cohorts.models.trees:GradientBoosting",
        "lightgbm": "genomix_cli.cohorts.models.trees:LightGBM",
        "xgboost": "genomix_cli.cohorts.models.xgboost:XGBoost",
        "catboost": "genomix_cli.cohorts.models.catboost:CatBoost",
        "mofa": "genomix_cli.cohorts.models.mofa:MOFA",
        "late-fusion": "genomix_cli.cohorts.models.late_fusion:LateFusion",
        "best-single": "genomix_cli.cohorts.models.late_fusion:BestSingle",
    },
    {
        "tabm": "tabm",
        "lightgbm": "lightgbm",
        "xgboost": "xgboost",
        "catboost": "catboost",
        "mofa": "mofapy2",
    },
)

# Published models first, then the baselines.
SEQUENCE_CLASSIFIERS = Registry(
    "classifier of sequences",
    {
        "transformer": "genomix_cli.sequences.models.transformer:Transformer",
        "cnn": "genomix_cli.sequences.models.cnn:CNN",
        "legnet": "genomix_cli.sequences.models.legnet:LegNet",
        "kmer-logistic": "genomix_cli.sequences.models.kmers:KmerLogistic",
        "gkm-svm": "genomix_cli.sequences.models.gkm:GkmSVM",
        "pca-logistic": "genomix_cli.sequences.models.components:PCALogistic",
        "pca-svm": "genomix_cli.sequences.models.components:PCASVM",
        "lda": "genomix_cli.sequences.models.discriminants:Discriminants",
        "majority": "genomix_cli.sequences.models.majority:Majority",
    },
)

SEQUENCE_TASKS = Registry(
    "task of sequences",
    {
        "classify": "genomix_cli.sequences.train.classifiers:train_classifiers",
        "contrast": "genomix_cli.sequences.pretrain.contrast:train_contrast",
        "diffuse": "genomix_cli.sequences.generate.train:train_diffusion",
        "align": "genomix_cli.sequences.pretrain.align:train_alignment",
        "activity": "genomix_cli.sequences.activity.train:train_activity",
        "profile": "genomix_cli.sequences.profile.train:train_profile",
    },
)


# In simulation order: a modality comes before those that depend on it.
COHORT_MODALITIES = Registry(
    "modality of a simulated cohort",
    {
        "methylation": "genomix_cli.cohorts.simulate.methylation:Methylation",
        "copy_number": "genomix_cli.cohorts.simulate.copy_number:CopyNumber",
        "fragmentomics": "genomix_cli.cohorts.simulate.fragments:Fragments",
        "chromatin": "genomix_cli.cohorts.simulate.chromatin:Chromatin",
        "expression": "genomix_cli.cohorts.simulate.expression:Expression",
        "mutations": "genomix_cli.cohorts.simulate.mutations:Mutations",
    },
)

SHARD_LAYOUTS = Registry(
    "shard layout",
    {
        "genome": "genomix_cli.variants.prepare.shard:write_genome_layout",
        "windows": "genomix_cli.variants.prepare.shard:write_windows_layout",
    },
)
