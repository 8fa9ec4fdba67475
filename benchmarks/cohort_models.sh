#!/usr/bin/env bash
# Every table of docs/benchmarks.md on models of cohorts: cohort_models.sh OUT [DATA]
#
# OUT is a folder for cohorts and run folders; a run that stopped goes on. DATA, if given, holds tables of
# real cohorts: tcga_brca_mogonet_features/ (expression, methylation and miRNA of 769 tumours) and
# metabric_partial/ (a study of cBioPortal, with the copy number of 997 tumours and their integrative
# clusters). About three hours on one core.
set -euo pipefail

out=$1 data=${2:-}
mkdir -p "$out"

simulate() { # NAME ARGUMENTS...
    [[ -f $out/$1.h5mu ]] || genomix simulate cohort "$out/$1.h5mu" -n 20000 --seed 3 -q "${@:2}"
}

train() { # COHORT RUN ARGUMENTS...
    [[ -f $out/$2/report.html ]] && return
    local more=()
    [[ -f $out/$2/train.json ]] && more=(--resume)
    genomix train "$1" -o "$out/$2" --threads 1 "${@:3}" "${more[@]}"
}

# The first 10,000 samples teach, the other 10,000 judge.
split() { # SAMPLES THAT TEACH
    awk -v n="$1" 'BEGIN { print "sample\tfold"
        for (i = 1; i <= 20000; i++) printf "S%05d\t%s\n", i, i <= n ? "train" : "test" }'
}
split 10000 > "$out/half.tsv"
split 1000 > "$out/small.tsv"

simple=random-forest,gradient-boosting,lightgbm,svm,lda,logistic,late-fusion,best-single

simulate stillwell --preset stillwell
train "$out/stillwell.h5mu" stillwell --hold-out "$out/half.tsv" --trials 4 \
    --baselines "tab-transformer,mlp,$simple"

simulate stillwell_2 --preset stillwell --seed 4
train "$out/stillwell_2.h5mu" ensemble --hold-out "$out/half.tsv" --trials 1 --preset ensemble \
    --baselines svm,logistic,gradient-boosting,lda --no-control

simulate stillwell_syn --preset stillwell --synergy
train "$out/stillwell_syn.h5mu" synergy --hold-out "$out/half.tsv" --trials 1 \
    --baselines "cancer-alpha,cross-modal-subtype,tab-transformer,mlp,${simple#*,}"
for part in cross_modal=false encoders=generic; do
    train "$out/stillwell_syn.h5mu" "synergy_$part" --hold-out "$out/half.tsv" --trials 1 \
        --inner-folds 2 --baselines none --no-control --set "$part"
done

simulate cancer-alpha --preset cancer-alpha
train "$out/cancer-alpha.h5mu" cancer_alpha --model cancer-alpha --hold-out "$out/small.tsv" --trials 1 \
    --vary training=progressive,end-to-end --baselines lightgbm,svm,logistic,late-fusion
train "$out/cancer-alpha.h5mu" cancer_alpha_more --model xgboost --hold-out "$out/small.tsv" --trials 1 \
    --no-control --baselines mofa,lightgbm,late-fusion,logistic
train "$out/cancer-alpha.h5mu" cancer_alpha_tables --model tabm --hold-out "$out/small.tsv" --trials 1 \
    --no-control --baselines realmlp,catboost,xgboost,lightgbm
simulate cancer-alpha_syn --preset cancer-alpha --synergy
for cohort in cancer-alpha cancer-alpha_syn; do
    train "$out/$cohort.h5mu" "${cohort}_parts" --model cancer-alpha --hold-out "$out/small.tsv" \
        --trials 1 --inner-folds 2 --baselines lightgbm,late-fusion --no-control \
        --vary cross_attention=true,false --vary encoders=specific,generic
done

prepare() { # NAME ARGUMENTS...
    [[ -f $out/$1.h5mu ]] || genomix prepare cohort -o "$out/$1.h5mu" "${@:2}"
}

if [[ -n $data ]]; then
    tcga=$data/tcga_brca_mogonet_features metabric=$data/metabric_partial
    prepare tcga -m expression="$tcga/mrna.csv.gz" -m methylation="$tcga/meth.csv.gz" -m mirna="$tcga/mirna.csv.gz" \
        --kind methylation=methylation_m --kind mirna=expression --samples rows \
        --clinical "$tcga/labels_split.csv" --sample-column patient --label pam50_name
    awk -F, 'NR == 1 { print "sample\tfold" } NR > 1 { print $1 "\t" $4 }' "$tcga/labels_split.csv" > "$out/tcga_split.tsv"

    # PAM50 and claudin-low of the tumours with copy number.
    gunzip -c "$metabric/data_clinical_patient.txt.gz" | tr '\r' '\n' | awk -F'\t' -v ids="$metabric/intclust_997.csv" '
        BEGIN { while ((getline line < ids) > 0) { split(line, parts, "\""); known[parts[2]] } }
        /^#/ { next }
        !column { for (i = 1; i <= NF; i++) if ($i == "CLAUDIN_SUBTYPE") column = i; print "sample\tsubtype"; next }
        $1 in known { print $1 "\t" $column }' > "$out/metabric_pam50.tsv"
    both=(--study "$metabric" --only mutations -m copy_number="$metabric/cn_997x714.csv.gz" --sample-column sample)
    prepare metabric_both "${both[@]}" --clinical "$out/metabric_pam50.tsv" --label subtype
    prepare metabric_intclust "${both[@]}" --clinical "$metabric/intclust_997.csv" --label intclust

    linear=svm,lda,logistic,late-fusion,best-single
    train "$out/tcga.h5mu" tcga --hold-out "$out/tcga_split.tsv" --trials 3 \
        --model cross-modal-subtype --baselines "omics-transformer,cancer-alpha,mlp,lightgbm,$linear"
    train "$out/metabric_both.h5mu" metabric_pam50 --trials 1 --model cross-modal-subtype \
        --set primary=copy_number --baselines "omics-transformer,lightgbm,$linear"
    train "$out/metabric_intclust.h5mu" metabric_intclust --trials 1 --model cross-modal-subtype \
        --set primary=copy_number --baselines "$linear"
    train "$out/metabric_both.h5mu" metabric_repeats --trials 1 --model cross-modal-subtype \
        --set primary=copy_number --baselines late-fusion,logistic,lightgbm --no-control \
        --repeats 3 --calibration split
    train "$out/metabric_intclust.h5mu" intclust_repeats --trials 1 --model cross-modal-subtype \
        --set primary=copy_number --baselines omics-transformer,late-fusion,logistic,svm --no-control \
        --repeats 3 --calibration split
    train "$out/tcga.h5mu" tcga_repeats --trials 1 --model cross-modal-subtype \
        --baselines late-fusion,logistic,svm --no-control --repeats 2 --calibration split
    train "$out/tcga.h5mu" tcga_features --trials 1 --model cross-modal-subtype --baselines none --no-control \
        --calibration split --vary top_k=300,500,1000 \
        --vary modalities=expression,expression+methylation,expression+mirna,expression+methylation+mirna
    train "$out/tcga.h5mu" tcga_features_linear --trials 1 --model logistic --baselines none --no-control \
        --calibration split --vary modalities=expression,expression+methylation+mirna
fi

python "$(dirname "${BASH_SOURCE[0]}")/cohort_models.py" ablations "$out/cancer-alpha_syn.h5mu" --seed 1
python "$(dirname "${BASH_SOURCE[0]}")/cohort_models.py" sparsity "$out/cancer-alpha_syn.h5mu" --rounds 1
python "$(dirname "${BASH_SOURCE[0]}")/cohort_models.py" latency
python "$(dirname "${BASH_SOURCE[0]}")/cohort_models.py" scale --model omics-transformer
