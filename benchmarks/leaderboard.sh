#!/usr/bin/env bash
# Makes the leaderboard of docs/benchmarks.md: GMT and the nine architectures of its paper's table, each with the same
# variants to learn from, beside simple baselines and scores of others. WORK is a folder for 2 GB. DATA holds the public
# files that benchmarks/real_variants.py names, TABLES is what benchmarks/activity_tables.py made of them; without them
# the simulated genome alone is on the page. MODELS chooses some of the architectures; what is there is not made again.
set -euo pipefail

WORK=${1:?usage: [MODELS="gmt basset ..."] benchmarks/leaderboard.sh WORK [DATA TABLES]}
DATA=${2:-}
TABLES=${3:-}
HERE=$(cd "$(dirname "$0")" && pwd)
read -ra MODELS <<< "${MODELS:-gmt basset deepsea bpnet sei nucleotide-transformer dnabert basenji2 epigept enformer}"
mkdir -p "$WORK/runs/sim" "$WORK/runs/udacha" "$WORK/reports"
export GENOMIX_DEVICE=cpu GENOMIX_THREADS=1 OMP_NUM_THREADS=1

# Trains a model and evaluates it, with its controls: NAME SHARD MODEL, then options of train, --, and of evaluate.
enter() {
    local run=$WORK/runs/$1/$3 report=$WORK/reports/$1-$3 shard=$2 model=$3 train=()
    shift 3
    while [[ $1 != -- ]]; do train+=("$1"); shift; done
    shift
    [[ -e $run/config.json ]] || genomix train "$shard" -o "$run" --model "$model" --seed 1 --patience 0 "${train[@]}"
    [[ -e $report ]] || genomix evaluate "$shard" -m "$run" -o "$report" "$@"
}

# The simulated genome: 8,000 labelled variants of the first 1.5 Mb of chr1 to learn from, of which all positives are seen
# and 15 % of the negatives; ten stretches of chr9 to stop and calibrate by; a kilobase of every hundred of chr10 to test
# on, as models that read each variant by itself are slow.
[[ -e $WORK/sim.h5 ]] || {
    genomix simulate genome "$WORK/sim" --contigs 10 --contig-length 5M --variants-per-kb 20 --placement sites --seed 20261121
    genomix prepare variants --config "$WORK/sim/genomix.toml" -o "$WORK/sim.h5"
}
for ((i = 0; i < 10; i++)); do printf 'chr9\t%d\t%d\n' $((i * 500000)) $((i * 500000 + 1250)); done > "$WORK/valid.bed"
for ((i = 0; i < 50; i++)); do printf 'chr10\t%d\t%d\n' $((i * 100000)) $((i * 100000 + 1000)); done > "$WORK/test.bed"
printf 'chr1\t1500000\t5000000\n' > "$WORK/not_learned.bed"
for n in 2 3 4 5 6 7 8 10; do printf 'chr%d\t0\t5000000\n' $n; done >> "$WORK/not_learned.bed"
sim=(--set n_bins=400 --windows-per-batch 1 --negatives 0.15 --epochs 1 --learning-rate 1.2e-3 --train-variants 8000
     --validations-per-epoch 1 --valid-regions "$WORK/valid.bed" --test-regions "$WORK/not_learned.bed" --test-variants 100)
for model in "${MODELS[@]}"; do
    more=(--baselines none)
    # Baselines and scores of others are the same for all: they come with the first.
    [[ $model == "${MODELS[0]}" ]] && more=(--vcf "$WORK/sim/variants.vcf.gz" --info BREAK --info DELTA --train-variants 8000)
    enter sim "$WORK/sim.h5" "$model" "${sim[@]}" -- --test-regions "$WORK/test.bed" "${more[@]}"
done
[[ -e $WORK/reports/sim-shipped ]] ||
    genomix evaluate "$WORK/sim.h5" -m gmt-mini-sim --test-regions "$WORK/test.bed" --baselines none -o "$WORK/reports/sim-shipped"

# Allele-specific accessibility (UDACHA): effects with their sign, whole chromosomes held out. What gmt-mini says of these
# variants was looked at when its recipe was chosen. It comes as a column, as any table of another tool would.
if [[ -n $DATA ]]; then
    work=$WORK/udacha
    [[ -e $WORK/udacha.h5 ]] || {
        python "$HERE/effects.py" udacha "$DATA" "$work" --tables "$TABLES"
        genomix prepare variants --vcf "$work/variants.vcf" --labels "$work/labels.tsv" -f "$work/genome.fa" -o "$WORK/udacha.h5"
        genomix score "$work/variants.vcf" -f "$work/genome.fa" -m gmt-mini -o "$work/scored.vcf.gz"
    }
    udacha=(--set n_bins=400 --windows-per-batch 1 --epochs 5 --learning-rate 1e-3 --monitor ranking --validations-per-epoch 1
            --valid-contigs chr2 --test-contigs chr1,chr8,chr11,chr16,chr17,chr19,chr20,chr21 --rank-weight 1)
    for model in "${MODELS[@]}"; do
        more=(--baselines none)
        [[ $model == "${MODELS[0]}" ]] && more=(--vcf "$work/scored.vcf.gz" --info GENOMIX_DA)
        enter udacha "$WORK/udacha.h5" "$model" "${udacha[@]}" -- --effect signed "${more[@]}"
    done
fi

# Saturation mutagenesis (Kircher et al. 2019) enters alike, for testing alone: effects.py kircher, prepare, score, and
# evaluate with --test-contigs of all elements. Its figures in docs/benchmarks.md are of real_variants.py.
rm -rf "$WORK/leaderboard"
genomix evaluate "$WORK"/reports/* -o "$WORK/leaderboard"
