#!/usr/bin/env bash
# Every table of docs/benchmarks.md on sequences: sequences.sh OUT DATA
#
# OUT is a folder for prepared files and run folders; what is done is not done again. DATA holds
# kg1000.grch38.vcf.gz with samples.tsv (2,504 people of 1000 Genomes at 23,770 coding SNVs),
# elements.txt.gz (47,872 DNase sites of four cell types, as DNA-Diffusion publishes them) and
# motifs.meme (JASPAR). About three hours on one core.
set -euo pipefail

out=$1 data=$2
mkdir -p "$out"

prepare() { # NAME ARGUMENTS...
    [[ -f $out/$1.h5 ]] || genomix prepare sequences "${@:2}" -o "$out/$1.h5"
}

train() { # FILE RUN ARGUMENTS...
    [[ -f $out/$2/report.html ]] && return
    local more=()
    [[ -f $out/$2/train.json ]] && more=(--resume)
    genomix train "$out/$1.h5" -o "$out/$2" --threads 1 "${@:3}" "${more[@]}"
}

prepare people "$data/kg1000.grch38.vcf.gz" --samples "$data/samples.tsv" --label population
prepare elements "$data/elements.txt.gz" --label TAG --split data_label

train people population --label population --trials 3
train people superpopulation --label superpopulation
# Every fifth of the training sequences of each cell type.
gunzip -c "$data/elements.txt.gz" | awk -F'\t' 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i }
    NR == 1 || $at["data_label"] != "training" || n[$at["TAG"]]++ % 5 == 0' > "$out/fifth.txt"
prepare fifth "$out/fifth.txt" --label TAG --split data_label

# From known motifs; each network has a run of its own, so that they can run at the same time.
known() { # FILE RUN EPOCHS ARGUMENTS...
    train "$1" "$2" --motifs "$data/motifs.meme" --precision bf16-mixed --epochs "$3" "${@:4}"
}
known elements elements 4 --baselines majority,kmer-logistic:k6
known elements elements_cnn 4 --model cnn --baselines none
known elements elements_legnet 4 --model legnet:tiny --baselines none
known elements elements_ten 10 --baselines none
known elements elements_ten_cnn 10 --model cnn --baselines none
known fifth fifth 6 --baselines majority,kmer-logistic:k6
known fifth fifth_cnn 6 --model cnn --baselines none
train elements elements_gkm --model gkm-svm --baselines none
train elements elements_random \
    --baselines majority,kmer-logistic:k3,kmer-logistic:k6,pca-logistic,cnn

train people people_contrast --task contrast --set epochs=4 --phenotypes superpopulation,population
train people people_align --task align --set epochs=4
train elements elements_contrast --task contrast --preset motifs --set epochs=2 \
    --set learning_rate=0.002
train elements elements_few --init "$out/elements_contrast" --set epochs=2 \
    --few-shot 1,5,10,50 --few-shot-repeats 3 --baselines kmer-logistic:k3,kmer-logistic:k6

train elements diffusion --task diffuse --set epochs=8
for guidance in 1 2; do
    new=$out/generated_$guidance
    [[ -f $new.h5 ]] || genomix simulate sequences --model "$out/diffusion" -n $((guidance == 1 ? 2000 : 512)) \
        --steps 100 --seed 1 --guidance "$guidance" -o "$new.h5"
    genomix evaluate "$new.h5" --real "$out/elements.h5" --motifs "$data/motifs.meme" --json "$new.json" --report "$new.html"
done
