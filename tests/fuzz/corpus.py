"""Small whole files of every format that a command reads, and the commands that read them."""

from __future__ import annotations

import gzip
import pkgutil
import shutil
import subprocess
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import scipy.sparse

import genomix_cli
from genomix_cli.cohorts.simulate.parameters import presets
from genomix_cli.formats.cohort import open_cohort
from genomix_cli.formats.genome_shard import open_shard
from genomix_cli.formats.sequences import write_sequences
from genomix_cli.genome.iupac import decode
from genomix_cli.genome.vcf.bcf import write_bcf
from genomix_cli.genome.vcf.bgzf import BgzfWriter
from genomix_cli.genome.vcf.htslib import index_file
from genomix_cli.provenance import Provenance
from genomix_cli.sequences.prepare.sequences import prepare_sequences
from genomix_cli.sequences.requests.prepare import PrepareRequest as PeopleRequest
from genomix_cli.variants.prepare.genome import prepare_genome
from genomix_cli.variants.prepare.shard import prepare_variants
from genomix_cli.variants.requests.prepare import PrepareGenomeRequest, PrepareRequest
from genomix_cli.variants.score.doctor import write_reference
from genomix_cli.variants.trained import ModelConfig, arch_of, build_model, save_model
from tests import activity_runs, cohort_runs, diffusion_runs, sequence_runs, sequence_samples
from tests.cohort_files import every_kind
from tests.fuzz import forked

DATA = Path(__file__).parents[2] / "test_data"
# Beside a model for people to read: nothing is computed from them.
FREE = (".md", ".html", ".tsv")
INDEXES = (".fai", ".gzi", ".tbi", ".csi")
GENOME = "-f {genome.fa.gz} -t ATAC={ATAC.bw}"
SMALL = "--set n_bins=400 --set d_model=16 --set n_layers=1 --set n_heads=2 --set d_sequence=8"
CNN = "--model cnn --valid-contigs chr2 --epochs 1"
LDA = "--model lda --baselines none --trials 1 --folds 2 --inner-folds 2 --no-control"
MOTIFS = """MEME version 4

ALPHABET= ACGT

MOTIF MA0001.1 First
letter-probability matrix: alength= 4 w= 5 nsites= 10 E= 0
 0.97 0.01 0.01 0.01
 0.01 0.97 0.01 0.01
 0.01 0.01 0.97 0.01
 0.01 0.01 0.01 0.97
 0.97 0.01 0.01 0.01
"""
COMPILE = """
import numpy as np
from genomix_cli.genome.motif_sites import find_sites, motifs_of
find_sites(np.tile(np.arange(4, dtype=np.uint8), (1, 20)), motifs_of("consensus"), 1e-3)
"""
# Of chr1:1001-1004, TACG.
MEASURED = """contig\tpos\tref\talt\teffect
chr1\t1001\tT\tA\t0.5
chr1\t1002\tA\tG\t-0.25
chr1\t1003\tC\tT\t0.125
"""
# By weight: what costs little is tried more often.
COMMANDS = (
    # (weight, command); a name in braces is a file or folder of the corpus.
    (6, "inspect {shard.h5}"),
    (6, "inspect {windows.h5}"),
    (6, "inspect {sequences.h5}"),
    (6, "inspect {people.h5}"),
    (8, "inspect {cohort.h5mu}"),
    (8, "inspect {contacts.cool}"),
    (4, "inspect {scored.vcf}"),
    (2, "inspect {scored.vcf.gz}"),
    (4, "inspect {few.bcf}"),
    (3, "inspect {genome.fa.gz}"),
    (3, "inspect {small.fa}"),
    (4, "inspect {ATAC.bw}"),
    (4, "inspect {cohort-run}"),
    (4, "inspect {sequence-run}"),
    (4, "inspect {variant-run}"),
    (4, "inspect {diffusion-run}"),
    (3, "inspect {judged-run}"),
    (3, "inspect {learned-run}"),
    (2, "inspect {simulated}"),
    (1, "inspect {cohort.h5mu} --beside {cohort.h5mu} --json"),
    (6, f"prepare variants --vcf {{few.vcf}} --label-info LABEL {GENOME} -o out.h5"),
    (4, f"prepare variants --vcf {{few.bcf}} --label-info LABEL {GENOME} -o out.h5"),
    (4, f"prepare variants --vcf {{few.vcf.gz}} --contacts {{contacts.cool}} {GENOME} -o out.h5"),
    (3, f"prepare variants --vcf {{few.vcf}} --labels {{labels.tsv}} {GENOME} -o out.h5"),
    (2, f"prepare variants --vcf {{few.vcf}} --normalise-like {{shard.h5}} {GENOME} -o out.h5"),
    (2, f"prepare genome --contacts {{contacts.cool}} {GENOME} -o out.h5"),
    (
        4,
        "prepare cohort -m expression={rna.tsv} -m beta={beta.csv} --kind beta=methylation "
        "--clinical {clinical.tsv} --label SUBTYPE -o out.h5mu",
    ),
    (6, "prepare cohort -m expression={rna.parquet} --clinical {clinical.parquet} -o out.h5mu"),
    (4, "prepare cohort -m copy_number={cn.seg} -m fragments={fragments.csv} -o out.h5mu"),
    (3, "prepare cohort -m mutations={mutations.maf} -o out.h5mu"),
    (6, "prepare cohort -m expression={single.h5ad} -o out.h5mu"),
    (3, "prepare cohort {cohort.h5mu} -o out.h5mu"),
    (4, "prepare sequences {small.fa} --table {phenotypes.tsv} --label kind -o out.h5"),
    (3, "prepare sequences {small.fa} --bed {small.bed} --window 20 -o out.h5"),
    (3, "prepare sequences {genome.fa.gz} --window 200 -t ATAC={ATAC.bw} -o out.h5"),
    (4, "prepare sequences {sequences.tsv} --label kind -o out.h5"),
    (4, "prepare sequences {people.vcf} -o out.h5"),
    (3, "prepare sequences {people.bcf} -o out.h5"),
    (2, "prepare sequences {people.vcf} --like {sites.h5} -o out.h5"),
    (2, "simulate fit {cohort.h5mu} --modalities methylation -o out.yaml"),
    (2, "simulate cohort --params {params.yaml} -n 20 -o out.h5mu"),
    (1, "simulate genome --motifs {motifs.meme} --contigs 2 --contig-length 110k -o out"),
    (2, "simulate sequences -m {diffusion-run} -n 3 -o out.h5"),
    (4, "score cohort {cohort.h5mu} -m {cohort-run}"),
    (4, "score sequences {sequences.h5} -m {sequence-run}"),
    (3, "score sequences {sequences.h5} -m {transformer-run} --embeddings out.tsv"),
    (3, "score sequences {measured.h5} -m {activity-run}"),
    (2, "inspect {activity-run}"),
    (1, "train sequences {measured.h5} --task activity --preset tiny --epochs 1 -o out"),
    (2, f"score variants {{few.vcf}} {GENOME} -m {{variant-run}}"),
    (2, f"score variants {{few.bcf}} {GENOME} -R {{regions.bed}} -m {{variant-run}} -o out.bcf"),
    (
        2,
        f"score variants {{few.vcf.gz}} {GENOME} -r chr1 -m {{variant-run}} "
        "--config {genomix.toml}",
    ),
    (2, "score variants {few.vcf} -g {shard.h5} -m {variant-run} -o out.parquet"),
    (3, "score variants {few.vcf} -f {genome.fa.gz} -m {activity-run}"),
    (1, "score variants {few.vcf} -g {shard.h5} -m {siamese-run}"),
    (
        1,
        f"explain variants {{few.vcf}} {GENOME} -m {{variant-run}} -o out.tsv "
        "--attention out-attention.tsv --max-variants 1 --steps 4 --allow-incomplete",
    ),
    (
        1,
        "explain variants {few.vcf} -f {genome.fa.gz} -m {activity-run} -o out.tsv "
        "--mutagenesis out-substitutions.tsv --max-variants 1 --steps 4 --allow-incomplete",
    ),
    (
        1,
        "explain variants {few.vcf} -f {genome.fa.gz} -m {activity-run} -o out.tsv "
        "--motifs {motifs.meme} --max-variants 1 --steps 4 --allow-incomplete",
    ),
    (
        1,
        "explain variants --region chr1:1001-1004 -f {genome.fa.gz} -m {activity-run} "
        "--measured {measured.tsv} -o out.vcf",
    ),
    (1, "explain cohort {cohort.h5mu} -m {cohort-run} -o out.tsv --steps 4 --max-samples 2"),
    (1, "explain sequences {sequences.h5} -m {transformer-run} -o out.tsv --max-sequences 1"),
    (3, "evaluate variants {scored.vcf} --vs {scored.vcf.gz} --bootstrap 5"),
    (2, "evaluate variants {scored.vcf} --label-info DELTA --bootstrap 5"),
    (2, "evaluate variants {scored.vcf} --labels {labels.tsv} --bootstrap 5"),
    (
        1,
        "evaluate suite {shard.h5} -m {learned-run} --test-contigs chr2 --seen include "
        "--baselines nearest-peak --bootstrap 5 -o out",
    ),
    (3, "evaluate classes {classes.tsv} --data {cohort.h5mu} --bootstrap 5"),
    (3, "evaluate classes {classes.parquet} --data {cohort.h5mu} --bootstrap 5"),
    (2, "evaluate classes {judged-run} --data {cohort.h5mu} --bootstrap 5"),
    (1, "evaluate generated {two.h5} --real {two.h5} -o out --motifs {motifs.meme}"),
    (1, "train sequences {sequences.h5} --model majority --baselines none -o out"),
    (1, f"train cohort {{cohort.h5mu}} {LDA} -o out"),
    (1, f"train variants {{shard.h5}} {CNN} -o out"),
    (
        1,
        f"train variants {{whole.h5}} --task pretrain --valid-contigs chr2 --epochs 1 {SMALL} "
        "--windows-per-epoch 2 --valid-windows 1 -o out",
    ),
    (1, "train sequences {sequences.h5} --task contrast --preset motifs --epochs 1 -o out"),
    (1, "train sequences {sequences.h5} --task align --preset motifs --epochs 1 -o out"),
    (1, "train sequences {two.h5} --task diffuse --preset tiny --epochs 1 -o out"),
    (2, "doctor -m {variant-run} --device cpu"),
    (2, "doctor -m {activity-run} --device cpu"),
)


def parts(folder: Path, name: str) -> list[Path]:
    """Return a file and its indexes, or what is read of a folder: all that can be damaged."""
    path = folder / name
    if path.is_dir():
        return sorted(p for p in path.iterdir() if p.is_file() and p.suffix not in FREE)
    indexes = [folder / f"{name}{suffix}" for suffix in INDEXES]
    return [path, *(index for index in indexes if index.exists())]


def preload() -> None:
    """Import whatever a command may need, so that its fork does not have to."""
    for module in pkgutil.walk_packages(genomix_cli.__path__, "genomix_cli."):
        if not module.name.endswith("__main__"):
            import_module(module.name)
    for name in (
        "cooler",
        "mudata",
        "sklearn.linear_model",
        "pyarrow.parquet",
        "matplotlib.pyplot",
    ):
        import_module(name)
    # The scanner of motifs is compiled at first use, which takes longer than a fork may; not here,
    # since a process with its threads cannot be forked.
    subprocess.run([sys.executable, "-c", COMPILE], cwd=DATA.parent, check=True)


def build(folder: Path) -> Path:
    """Write the corpus into `folder`."""
    for name in ("genome.fa.gz", "ATAC.bw", "contacts.cool"):
        for path in sorted(DATA.glob(f"{name}*")):
            shutil.copy2(path, folder)
    _variants(folder)
    _tables(folder)
    _cohorts(folder)
    _sequences(folder)
    _runs(folder)
    return folder


def _runs(folder: Path) -> None:
    """Whole runs of `genomix train`, and the manifest of a simulated genome."""
    for command in (
        f"train cohort cohort.h5mu {LDA} -o judged-run",
        f"train variants shard.h5 {CNN} -o learned-run",
        "simulate genome --contigs 2 --contig-length 110k -o simulated",
    ):
        ended = forked.run(command.split(), folder)
        assert ended.code == 0, ended.err
    for path in (folder / "simulated").iterdir():
        if path.name != "manifest.json":
            path.unlink()


def _variants(folder: Path) -> None:
    """VCFs of a few variants, a shard of them in both layouts, tables, and two untrained models."""
    with gzip.open(DATA / "variants.vcf.gz", "rt") as file:
        lines = file.readlines()
    head = [line for line in lines if line.startswith("#")]
    body = [line for line in lines if not line.startswith("#") and "," not in line.split("\t")[4]]
    few = [
        line
        for contig in ("chr1\t", "chr2\t")
        for kind in ("LABEL=0", "LABEL=1")
        for line in [each for each in body if each.startswith(contig) and kind in each][:2]
    ]
    few.sort(key=body.index)
    (folder / "few.vcf").write_text("".join(head + few))
    _packed(folder, "few")
    scored = '##INFO=<ID=GENOMIX_P,Number=A,Type=Float,Description="Probability">\n'
    rows = [
        line.rstrip("\n") + f";GENOMIX_P={0.01 * (7 * i % 100):.2f}\n"
        for i, line in enumerate(body[::40])
    ]
    (folder / "scored.vcf").write_text("".join([head[0], scored, *head[1:], *rows]))
    _packed(folder, "scored")
    table = ["contig\tpos\tref\talt\tlabel\tgroup\n"]
    for i, line in enumerate(dict.fromkeys(few + body[::40])):
        contig, pos, _, ref, alt, *_ = line.split("\t")
        table.append(f"{contig}\t{pos}\t{ref}\t{alt}\t{i % 2}\tg{i % 3}\n")
    (folder / "labels.tsv").write_text("".join(dict.fromkeys(table)))
    (folder / "regions.bed").write_text("chr1\t0\t5000\tone\t0\t+\nchr2\t100\t90000\ttwo\t0\t-\n")
    toml = '[score]\nfasta = "genome.fa.gz"\ntrack = ["ATAC=ATAC.bw"]\nprecision = "fp32"\n'
    (folder / "genomix.toml").write_text(toml)
    (folder / "motifs.meme").write_text(MOTIFS)
    (folder / "measured.tsv").write_text(MEASURED)
    request = PrepareRequest(
        vcf=folder / "few.vcf",
        fasta=folder / "genome.fa.gz",
        output=folder / "shard.h5",
        tracks={"ATAC": folder / "ATAC.bw"},
        contacts=folder / "contacts.cool",
        label_info="LABEL",
        flank=1000,
    )
    prepare_variants(request)
    whole = PrepareGenomeRequest(request.fasta, folder / "whole.h5", request.tracks)
    prepare_genome(whole)
    prepare_variants(replace(request, output=folder / "windows.h5", layout="windows", flank=1000))
    shard = open_shard(folder / "shard.h5")
    for name, model, arch in (
        ("variant-run", "gmt", {"n_bins": 400, "d_model": 16, "n_layers": 1, "n_heads": 2}),
        ("siamese-run", "cnn", {}),
    ):
        module = build_model(model, {"tracks": ["ATAC"], **arch})
        (folder / name).mkdir()
        save_model(
            folder / name,
            module,
            ModelConfig(model, arch_of(module), shard.modality_specs),
        )
    write_reference(folder / "variant-run")


def _packed(folder: Path, name: str) -> None:
    """The same VCF as BGZF and as BCF, with their indexes."""
    text = folder / f"{name}.vcf"
    packed = folder / f"{name}.vcf.gz"
    with packed.open("wb") as stream:
        writer = BgzfWriter(stream)
        writer.write(text.read_bytes())
        writer.finish()
    index_file(packed, packed, name, preset="vcf")
    bcf = folder / f"{name}.bcf"
    write_bcf(str(text), str(bcf), name)
    index_file(bcf, bcf, name, preset="bcf")


def _tables(folder: Path) -> None:
    """Tables of a small cohort, as text and as Parquet."""
    rng = np.random.default_rng(0)
    names = [f"S{i:02d}" for i in range(12)]
    genes = [f"GENE{i}" for i in range(9)]
    rna = pd.DataFrame(rng.normal(5, 1, (12, 9)).round(3), pd.Index(names, name="sample"), genes)
    rna.to_csv(folder / "rna.tsv", sep="\t")
    rna.reset_index().to_parquet(folder / "rna.parquet", index=False)
    beta = pd.DataFrame(rng.random((6, 12)).round(3), [f"cg{i}" for i in range(6)], names)
    beta.to_csv(folder / "beta.csv", index_label="probe")
    clinical = pd.DataFrame(
        {
            "SAMPLE_ID": names,
            "PATIENT_ID": [f"P{i // 2}" for i in range(12)],
            "SUBTYPE": ["A", "B", "C"] * 4,
            "AGE": range(40, 52),
        }
    )
    clinical.to_csv(folder / "clinical.tsv", sep="\t", index=False)
    clinical.to_parquet(folder / "clinical.parquet", index=False)
    segments = [
        f"{name}\t{1 + i % 3}\t1000000\t90000000\t50\t{rng.normal():.3f}\n"
        for i, name in enumerate(names)
    ]
    head = "ID\tchrom\tloc.start\tloc.end\tnum.mark\tseg.mean\n"
    (folder / "cn.seg").write_text(head + "".join(segments))
    lengths = [f"{name},{100 + i},{3 + i}\n" for name in names for i in range(4)]
    (folder / "fragments.csv").write_text("sample,length,count\n" + "".join(lengths))
    head = "Hugo_Symbol\tVariant_Classification\tTumor_Sample_Barcode\tMutation_Status\n"
    calls = [f"TP5{i % 4}\tMissense_Mutation\t{name}\t\n" for i, name in enumerate(names)]
    (folder / "mutations.maf").write_text(head + "".join(calls))
    single = anndata.AnnData(scipy.sparse.csr_matrix(rna.to_numpy("f4")), clinical, rna.T[[]])
    single.obs_names = names
    single.write_h5ad(folder / "single.h5ad")


def _cohorts(folder: Path) -> None:
    """A cohort of every kind, a model of it, and predictions."""
    cohort = every_kind(folder / "cohort.h5mu", n=30)
    with open_cohort(cohort) as opened:
        labels, names, classes = opened.labels, list(opened.obs.index), opened.classes
    cohort_runs.train(cohort, folder / "cohort-run", "lda")
    p = np.eye(len(classes))[labels] * 0.7 + 0.1
    table = pd.DataFrame(p, columns=[f"p:{name}" for name in classes])
    table.insert(0, "sample", names)
    table["label"] = [classes[k] for k in labels]
    table.to_csv(folder / "classes.tsv", sep="\t", index=False)
    table.to_parquet(folder / "classes.parquet", index=False)
    shutil.copy2(presets()["stillwell"], folder / "params.yaml")


def _sequences(folder: Path) -> None:
    """Sequences and genotypes as files, text and models."""
    made = Provenance("a test")
    motifs = sequence_samples.motifs(60, 30)
    write_sequences(folder / "sequences.h5", motifs, made)
    write_sequences(folder / "people.h5", sequence_samples.genotypes(20, 12), made)
    texts = [decode(row) for row in motifs.codes]
    kinds = [("a", "b", "c")[k] for k in motifs.label()[1]]
    fasta = "".join(f">{name}\n{text}\n" for name, text in zip(motifs.names, texts, strict=True))
    (folder / "small.fa").write_text(fasta)
    rows = list(zip(motifs.names, kinds, texts, strict=True))
    (folder / "phenotypes.tsv").write_text(
        "id\tkind\n" + "".join(f"{name}\t{kind}\n" for name, kind, _ in rows)
    )
    (folder / "sequences.tsv").write_text(
        "id\tkind\tsequence\n" + "".join("\t".join(row) + "\n" for row in rows)
    )
    people = [f"p{i}" for i in range(6)]
    head = "##fileformat=VCFv4.3\n##contig=<ID=1,length=400>\n"
    head += '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n'
    columns = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT"
    head += "\t".join([columns, *people]) + "\n"
    sites = [
        "\t".join(["1", str(10 + 3 * i), ".", "A", "G", ".", ".", ".", "GT"])
        + "".join(f"\t{(i + j) % 2}|{(i * j) % 2}" for j in range(6))
        for i in range(12)
    ]
    (folder / "people.vcf").write_text(head + "\n".join(sites) + "\n")
    write_bcf(str(folder / "people.vcf"), str(folder / "people.bcf"), "people")
    prepare_sequences(PeopleRequest(inputs=(folder / "people.vcf",), output=folder / "sites.h5"))
    (folder / "small.bed").write_text("s0\t0\t25\ns1\t5\t30\n")
    sequence_runs.trained(folder / "sequence-run", motifs, "kmer-logistic")
    sequence_runs.trained(folder / "transformer-run", motifs, "transformer", epochs=1)
    measured = sequence_samples.write(folder / "measured.h5", activity_runs.measured(60, 30))
    activity_runs.trained(measured, folder / "activity-run", epochs=1)
    write_reference(folder / "activity-run")
    diffusion_runs.two_classes(folder / "two.h5", 200)
    diffusion_runs.trained(folder / "two.h5", folder / "diffusion-run", epochs=1)
