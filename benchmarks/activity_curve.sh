#!/usr/bin/env bash
# How much more constructs would help: networks of activity trained on an eighth, a quarter, a half and all of lentiMPRA.
# activity_curve.sh DATA TABLES WORK, where TABLES is what benchmarks/activity_tables.py made of DATA. Half an hour of one core.
set -euo pipefail

DATA=${1:?usage: benchmarks/activity_curve.sh DATA TABLES WORK} TABLES=$2 WORK=$3
HERE=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$WORK"
export GENOMIX_DEVICE=cpu GENOMIX_THREADS=1 OMP_NUM_THREADS=1

# Whole groups are left out of training; validation and test parts stay as they are.
python - "$TABLES/lentimpra.tsv" "$WORK" <<'PYTHON'
import random
import sys
from pathlib import Path

import pandas as pd

table = pd.read_csv(sys.argv[1], sep="\t", dtype=str, keep_default_na=False)
learned = table["split"] == "train"
groups = sorted(set(table["group"][learned]))
random.Random(0).shuffle(groups)
for part in (8, 4, 2, 1):
    kept = ~learned | table["group"].isin(groups[: len(groups) // part])
    table[kept].to_csv(Path(sys.argv[2]) / f"part{part}.tsv", sep="\t", index=False)
PYTHON

models=()
# About as many steps for each: fewer constructs are read more often.
for part_epochs in 8:24 4:16 2:10 1:6; do
    part=${part_epochs%:*}
    genomix prepare sequences "$WORK/part$part.tsv" -o "$WORK/part$part.h5" --group group --split split \
        --adaptors AGGACCGGATCAACT,CATTGCGTGAACCGA --assay lentiMPRA --unit "log2 RNA/DNA"
    genomix train "$WORK/part$part.h5" --task activity -o "$WORK/run$part" --hold-out splits --seed 1 \
        --motifs "$DATA/motifs/JASPAR2024_CORE_vertebrates_nonredundant.meme.gz" \
        --set members=1 --epochs "${part_epochs#*:}"
    models+=(--model "$WORK/run$part")
done
python "$HERE/udacha.py" --data "$DATA" --tables "$TABLES" "${models[@]}" -o "$WORK/udacha"
