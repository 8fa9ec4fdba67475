#!/usr/bin/env bash
# What docs/benchmarks.md says of GMT beside its baselines, of contacts, of pre-training, and of real data.
# About four hours on two CPU cores. WORK is a folder for 3 GB; DATA holds the public files that
# benchmarks/real_data.py names, and may be left out.
set -euo pipefail

WORK=${1:?usage: benchmarks/gmt.sh WORK [DATA]}
DATA=${2:-}
HERE=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$WORK"
export GENOMIX_DEVICE=cpu GENOMIX_THREADS=1 OMP_NUM_THREADS=1

# GMT and the four published baselines: the same shard, parts, loss and stopping, and about the same
# time of one core, which is fewer variants for the dear ones.
genomix simulate genome "$WORK/sim" --contigs 10 --contig-length 5M --variants-per-kb 20 --placement sites --seed 20261121
genomix prepare variants --config "$WORK/sim/genomix.toml" -o "$WORK/sim.h5"
same=(--set n_bins=400 --windows-per-batch 4 --variants-per-window 128 --negatives 0.15 --epochs 1
      --learning-rate 1.2e-3 --patience 0 --valid-contigs chr9 --test-contigs chr10 --seed 1)
eight=(--valid-variants 4000 --validations-per-epoch 8)
four=(--valid-variants 3000 --validations-per-epoch 4 --test-variants 16000)
genomix train "$WORK/sim.h5" -o "$WORK/gmt" "${same[@]}" "${eight[@]}"
genomix train "$WORK/sim.h5" -o "$WORK/basset" --model basset "${same[@]}" "${eight[@]}"
genomix train "$WORK/sim.h5" -o "$WORK/deepsea" --model deepsea "${same[@]}" "${four[@]}" --train-variants 250000
genomix train "$WORK/sim.h5" -o "$WORK/epigept" --model epigept "${same[@]}" "${four[@]}" --train-variants 120000
genomix train "$WORK/sim.h5" -o "$WORK/enformer" --model enformer "${same[@]}" "${four[@]}" --train-variants 70000
python "$HERE/paired.py" "$WORK"/{gmt,basset,deepsea,epigept,enformer}
genomix evaluate "$WORK/sim.h5" --suite -m "$WORK/gmt" -m gmt-mini-sim --variants 16000 \
    --vcf "$WORK/sim/variants.vcf.gz" --info BREAK --info DELTA -o "$WORK/suite"

# Contacts: labels that the map alone explains, with it and without, at +-50 kb.
genomix simulate genome "$WORK/contact" --contigs 10 --contig-length 5M --variants-per-kb 8 --rule contact --placement sites --seed 31
genomix prepare variants --config "$WORK/contact/genomix.toml" -o "$WORK/contact.h5"
for use in true false; do
    genomix train "$WORK/contact.h5" -o "$WORK/contacts-$use" --set use_contacts=$use --windows-per-batch 4 \
        --variants-per-window 128 --learning-rate 1e-3 --negatives 0.25 --epochs 1 --valid-variants 6000 \
        --validations-per-epoch 6 --patience 0 --valid-contigs chr9 --test-contigs chr10 --seed 1
done
python "$HERE/paired.py" "$WORK/contacts-true" "$WORK/contacts-false"

# Pre-training: a thousand labels, with it and without.
python "$HERE/few_labels.py" "$WORK/sim" "$WORK/few.vcf"
tracks=()
for name in ATAC H3K27ac H3K4me3 CTCF; do tracks+=(-t "$name=$WORK/sim/$name.bw"); done
genomix prepare variants --vcf "$WORK/few.vcf" --label-info LABEL --probability-info PROB -f "$WORK/sim/genome.fa.gz" \
    "${tracks[@]}" --contacts "$WORK/sim/contacts.cool" --normalise-like "$WORK/sim.h5" -o "$WORK/few.h5"
pretrain=(--task pretrain --set n_bins=400 --windows-per-batch 2 --valid-windows 8 --spans-per-window 8
          --places-per-window 32 --track-weight 2 --seed 1)
genomix train "$WORK/sim.h5" "${pretrain[@]}" -o "$WORK/few-pre" --valid-contigs chr9,chr10 \
    --epochs 8 --windows-per-epoch 400
few=(--set n_bins=400 --windows-per-batch 8 --epochs 16 --learning-rate 1e-3 --valid-variants 2000 --patience 0
     --valid-contigs chr9 --test-contigs chr10 --seed 1)
genomix train "$WORK/few.h5" -o "$WORK/few-scratch" "${few[@]}"
genomix train "$WORK/few.h5" -o "$WORK/few-pretrained" "${few[@]}" --init "$WORK/few-pre"
python "$HERE/paired.py" "$WORK/few-pretrained" "$WORK/few-scratch"

# Activity first: what sequence does is learned from the tracks, and then the same labels with that network inside.
genomix prepare sequences "$WORK/sim/genome.fa.gz" --window 200 "${tracks[@]}" --valid-contigs chr9 --test-contigs chr10 \
    -o "$WORK/windows.h5"
genomix train "$WORK/windows.h5" --task activity --set members=1 --set stem=64 --set width=48 --epochs 20 --seed 1 \
    -o "$WORK/activity"
few=(--windows-per-batch 8 --epochs 12 --learning-rate 1e-3 --valid-variants 1000 --patience 0
     --valid-contigs chr9 --test-contigs chr10 --seed 1)
genomix train "$WORK/few.h5" -o "$WORK/few-wide" "${few[@]}"
genomix train "$WORK/few.h5" -o "$WORK/few-activity" "${few[@]}" --init "$WORK/activity"
python "$HERE/paired.py" "$WORK/few-activity" "$WORK/few-wide"

[[ -n $DATA ]] || exit 0

# Real data: chr22 and DHS to pre-train on, saturation mutagenesis and allele-specific accessibility.
real=$WORK/real
python "$HERE/real_data.py" "$DATA" "$real"
tracks=()
for file in "$real"/tracks/*.bw; do tracks+=(-t "$(basename "$file" .bw)=$file"); done
genomix prepare genome -f "$real/genome.fa" "${tracks[@]}" -o "$real/genome.h5" --assembly hg38-parts
genomix prepare variants --vcf "$real/variants.vcf" --labels "$real/labels.tsv" -f "$real/genome.fa" "${tracks[@]}" \
    --normalise-like "$real/genome.h5" -o "$real/real.h5"
genomix train "$real/genome.h5" "${pretrain[@]}" -o "$real/pre" --valid-regions "$real/pretrain.bed" --max-n 0.35 \
    --epochs 10 --windows-per-epoch 500
tune=(--set n_bins=400 --windows-per-batch 4 --variants-per-window 128 --negatives 0.35 --rank-weight 1
      --rank-margin 0.05 --monitor ranking --valid-regions "$real/valid.bed" --test-regions "$real/test.bed" --seed 1)
genomix train "$real/real.h5" -o "$real/ft" --init "$real/pre" "${tune[@]}" --learning-rate 4e-4 --epochs 3 \
    --patience 4 --validations-per-epoch 2
like=()
for name in ATAC@K562 ATAC@GM12878 ATAC@MCF7 H3K27ac@K562 CTCF@GM12878; do
    like+=(-t "$name=$real/tracks/$name.bw")
done
genomix prepare variants --vcf "$real/variants.vcf" --labels "$real/labels.tsv" -f "$real/genome.fa" "${like[@]}" \
    --normalise-like gmt-mini-sim -o "$real/like_sim.h5"
genomix train "$real/like_sim.h5" -o "$real/ft-sim" --init gmt-mini-sim "${tune[@]}" --learning-rate 2e-4 --epochs 2 \
    --patience 6 --validations-per-epoch 4
genomix score "$real/variants.vcf" -f "$real/genome.fa" -m gmt-mini-sim --regions-file "$real/test.bed" \
    -o "$real/sim_scored.vcf"
genomix evaluate "$real/real.h5" --suite -m "$real/ft" --vcf "$real/sim_scored.vcf" --info GENOMIX_P \
    --info GENOMIX_DL -o "$real/suite"
# The controls of the weights that ship, for their card; they never saw a real base.
genomix evaluate "$real/like_sim.h5" --suite -m gmt-mini-sim --test-regions "$real/test.bed" --trust-runs \
    --variants 8000 --baselines none -o "$real/suite-card"
