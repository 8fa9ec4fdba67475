#!/usr/bin/env bash
# Makes the weights that ship (genomix_cli/pretrained/gmt-mini-sim) and what they are compared with.
# About 3 hours on two CPU cores; WORK is a folder for 2 GB of intermediate files.
set -euo pipefail

WORK=${1:?usage: benchmarks/weights.sh WORK}
mkdir -p "$WORK"
export GENOMIX_DEVICE=cpu GENOMIX_THREADS=1

genomix simulate genome "$WORK/sim" --contigs 10 --contig-length 5M --variants-per-kb 20 --placement sites --seed 20261121
genomix prepare variants --config "$WORK/sim/genomix.toml" -o "$WORK/sim.h5"

held_out=(--valid-contigs chr9 --test-contigs chr10)
same=(--windows-per-batch 2 --variants-per-window 128 --learning-rate 1.2e-3 --negatives 0.35
      --patience 0 --validations-per-epoch 4 --seed 1)

genomix train "$WORK/sim.h5" -o "$WORK/gmt" "${held_out[@]}" "${same[@]}" \
    --epochs 4 --valid-variants 8000 --monitor auprc --demonstration

# What a score is ranked among: SNVs at random places of another genome. And what `doctor` expects.
genomix simulate genome "$WORK/other" --contigs 4 --contig-length 1M --seed 20261122
python "$(dirname "$0")/snvs.py" "$WORK/other/genome.fa.gz" "$WORK/random_snvs.vcf" --spacing 200
# For each conditions under which it is used: all inputs, without contacts, sequence alone.
save=(genomix score "$WORK/random_snvs.vcf" -m "$WORK/gmt" --save-background -o "$WORK/random_snvs.scored.vcf.gz")
other=(-f "$WORK/other/genome.fa.gz")
tracks=()
for name in ATAC H3K27ac H3K4me3 CTCF; do tracks+=(-t "$name=$WORK/other/$name.bw"); done
"${save[@]}" "${other[@]}" "${tracks[@]}" --contacts "$WORK/other/contacts.cool"
"${save[@]}" "${other[@]}" "${tracks[@]}"
"${save[@]}" "${other[@]}"
# And for centred windows, which take a pass for each variant: sequence alone, fewer variants of a third genome.
genomix simulate genome "$WORK/third" --contigs 4 --contig-length 1M --seed 20261130
python "$(dirname "$0")/snvs.py" "$WORK/third/genome.fa.gz" "$WORK/third.vcf" --spacing 200
awk '/^#/ || NR % 14 == 0' "$WORK/third.vcf" > "$WORK/one_in_14.vcf"
genomix score "$WORK/one_in_14.vcf" -f "$WORK/third/genome.fa.gz" -m "$WORK/gmt" --mode centred \
    --save-background -o "$WORK/one_in_14.scored.vcf.gz"
# With tracks the windows move no rank (decision 21): those backgrounds serve for both.
python - "$WORK/gmt" <<'PYTHON'
import sys
from dataclasses import replace
from pathlib import Path

from genomix_cli.provenance import sha256
from genomix_cli.variants.score.background import load_backgrounds
from genomix_cli.variants.trained import read_config

folder = Path(sys.argv[1])
stored = load_backgrounds(folder, sha256(folder / "model.safetensors"), read_config(folder).conditions())
for each in stored:
    if each.conditions.tracks:
        now = load_backgrounds(folder, each.model, each.conditions)
        replace(each, conditions=replace(each.conditions, mode=None)).save(folder, now)
PYTHON
genomix doctor --store -m "$WORK/gmt"

# What it is compared with. The CNN reads 1 kb, whatever the window.
genomix train "$WORK/sim.h5" -o "$WORK/cnn" "${held_out[@]}" "${same[@]}" --set n_bins=400 \
    --model cnn --epochs 1 --valid-variants 4000
genomix train "$WORK/sim.h5" -o "$WORK/tracks-only" "${held_out[@]}" "${same[@]}" \
    --set use_sequence=false --negatives 0.1 --epochs 1 --valid-variants 4000
genomix train "$WORK/sim.h5" -o "$WORK/sequence-only" "${held_out[@]}" "${same[@]}" \
    --set use_tracks=false --set use_contacts=false --negatives 0.1 --epochs 1 --valid-variants 4000

python "$(dirname "$0")/compare.py" "$WORK/sim.h5" chr10 \
    "$WORK"/gmt "$WORK"/cnn "$WORK"/tracks-only "$WORK"/sequence-only
