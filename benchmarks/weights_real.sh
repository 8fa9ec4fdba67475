#!/usr/bin/env bash
# Makes the weights that know real DNA (genomix_cli/pretrained/gmt-mini) and judges them beside their peers.
# DATA holds the public files that benchmarks/activity_tables.py, teacher_pairs.py and real_variants.py name;
# WORK is a folder for 1 GB. MEMBERS and EPOCHS make a smaller trial of it.
set -euo pipefail

DATA=${1:?usage: benchmarks/weights_real.sh DATA WORK}
WORK=${2:?usage: benchmarks/weights_real.sh DATA WORK}
HERE=$(cd "$(dirname "$0")" && pwd)
MEMBERS=${MEMBERS:-3} EPOCHS=${EPOCHS:-8} PAIRS=${PAIRS:-150000}
MORE_EPOCHS=${MORE_EPOCHS:-5} MORE_PAIRS=${MORE_PAIRS:-200000}
mkdir -p "$WORK"
export GENOMIX_DEVICE=cpu GENOMIX_THREADS=1 OMP_NUM_THREADS=1

# What is learned from: none of it shares 24 bases with an element of the variants to be tested on.
python "$HERE/activity_tables.py" --data "$DATA" -o "$WORK/tables"
python "$HERE/teacher_pairs.py" --data "$DATA" --tables "$WORK/tables" -o "$WORK/pairs.tsv" -n "$PAIRS" \
    --seed 1 --answers teacher

prepare() { genomix prepare sequences "$1" -o "$WORK/$(basename "$1" .tsv).h5" "${@:2}"; }
parts=(--group group --split split)
adaptors=(--adaptors AGGACCGGATCAACT,CATTGCGTGAACCGA)
prepare "$WORK/tables/lentimpra.tsv" "${parts[@]}" "${adaptors[@]}" --assay lentiMPRA --unit "log2 RNA/DNA"
# Without a named assay, so that it helps to learn, but scores no variants: its construct is another.
prepare "$WORK/tables/mattioli.tsv" "${parts[@]}" --unit "log2 activity"
prepare "$WORK/tables/dhs.tsv" "${parts[@]}"
also=(--also "$WORK/mattioli.h5" --also "$WORK/dhs.h5")
for task in tf0 tf1 tf2 tf3 tf4 prom_core_all prom_300_all; do
    prepare "$WORK/tables/gue_$task.tsv" "${parts[@]}"
    also+=(--also "$WORK/gue_$task.h5")
done
# The teachers were asked for the 200 bp, of which the network reads as much in the construct.
prepare "$WORK/pairs.tsv" --group pair --keep teacher "${adaptors[@]}" \
    --assay "distilled MPRA" --unit "SD of changes"

# First what elements do, and whatever else tells of motifs.
genomix train "$WORK/lentimpra.h5" --task activity -o "$WORK/first" --hold-out splits "${also[@]}" \
    --motifs "$DATA/motifs/JASPAR2024_CORE_vertebrates_nonredundant.meme.gz" \
    --pairs "$WORK/pairs.h5" --set members="$MEMBERS" --epochs "$EPOCHS" --seed 1 \
    --set 'summary=["HepG2", "WTC11", "K562", "teacher", "teacher", "teacher"]'

# Then which places are open, with other pairs, more of them, and teachers of accessibility, of motifs, and of each
# cell type.
python "$HERE/teacher_pairs.py" --data "$DATA" --tables "$WORK/tables" -o "$WORK/more_pairs.tsv" -n "$MORE_PAIRS" --seed 2
prepare "$WORK/tables/open.tsv" "${parts[@]}" "${adaptors[@]}"
answers=()
for name in teacher open motifs HepG2_cell K562_cell GM12878_cell stem_cell; do answers+=(--keep "$name"); done
prepare "$WORK/more_pairs.tsv" --group pair "${answers[@]}" "${adaptors[@]}" --assay distilled --unit "SD of changes"
genomix train "$WORK/lentimpra.h5" --task activity -o "$WORK/gmt-mini" --hold-out splits --init "$WORK/first" \
    --also "$WORK/open.h5" --also "$WORK/mattioli.h5" --also "$WORK/dhs.h5" \
    --pairs "$WORK/more_pairs.h5" --set members="$MEMBERS" --epochs "$MORE_EPOCHS" --seed 11 \
    --set own_share=0.25 --set pair_batch=128 \
    --set 'summary=["HepG2", "WTC11", "K562", "teacher", "teacher", "teacher", "open", "open", "open", "motifs", "motifs", "motifs"]' \
    --set 'shown=["HepG2", "WTC11", "K562"]'

# What scores are ranked among: variants of people on chr22 (of the file's sets, those of 1000 Genomes), and SNVs at
# random places there; in each cell type, and on average. Those saved last are the ones to rank among unless others are
# asked for.
gunzip -c "$DATA/hg38_chr22/chr22.fa.gz" > "$WORK/chr22.fa"
gunzip -c "$DATA/hg38_chr22/variants.chr22.vcf.gz" | awk '/^#/ || /SET=1000G/' > "$WORK/common_snvs.vcf"
python "$HERE/snvs.py" "$WORK/chr22.fa" "$WORK/random_snvs.vcf" --spacing 2000
for cell in stem GM12878 K562 HepG2 ""; do
    for name in common random; do
        genomix score "$WORK/${name}_snvs.vcf" -f "$WORK/chr22.fa" -m "$WORK/gmt-mini" ${cell:+--cell "$cell"} \
            --save-background -o "$WORK/${name}_snvs.${cell:-mean}.vcf"
    done
done
genomix doctor --store -m "$WORK/gmt-mini"

# Validation, by which a choice between models is made: allele-specific accessibility.
python "$HERE/udacha.py" --data "$DATA" --tables "$WORK/tables" --model "$WORK/first" --model "$WORK/gmt-mini" \
    -o "$WORK/udacha"
# The test, once: saturation mutagenesis.
python "$HERE/real_variants.py" --data "$DATA" --tables "$WORK/tables" --peer gmt-mini-sim --peer "$WORK/first" \
    --model "$WORK/gmt-mini" -o "$WORK/kircher"
