// [GENOMIX_PREPARE_LABELLED -> GENOMIX_TRAIN ->] GENOMIX_PREPARE -> GENOMIX_SCORE, a job per contig
// -> BCFTOOLS_CONCAT -> TABIX_TABIX
//
// Parameters: nextflow.config. Options of the steps: conf/modules.config.

include { BCFTOOLS_CONCAT } from './modules/local/bcftools/concat/main'
include { BCFTOOLS_CONTIGS } from './modules/local/bcftools/contigs/main'
include { GENOMIX_PREPARE as GENOMIX_PREPARE_LABELLED } from './modules/local/genomix/prepare/main'
include { GENOMIX_PREPARE } from './modules/local/genomix/prepare/main'
include { GENOMIX_SCORE } from './modules/local/genomix/score/main'
include { GENOMIX_TRAIN } from './modules/local/genomix/train/main'
include { TABIX_TABIX } from './modules/local/tabix/tabix/main'

// A model trained on labelled variants.
workflow TRAIN {
    take:
    labelled // [ meta, vcf, labels ]
    fasta // [ meta, fasta, indices ]
    tracks // [ meta, names, bigWigs ]
    contacts // [ meta, contacts ]
    valid_contigs // 'chr2,chr3'

    main:
    GENOMIX_PREPARE_LABELLED(labelled, fasta, tracks, contacts, channel.value([[id: 'own'], []]))
    GENOMIX_TRAIN(GENOMIX_PREPARE_LABELLED.out.shard.combine(valid_contigs))

    emit:
    model = GENOMIX_TRAIN.out.model // [ meta, run folder ]
}

// A VCF with scores: a job per contig, put together in the order of the records.
workflow SCORE {
    take:
    variants // [ meta, vcf, index ]
    fasta // [ meta, fasta, indices ]
    tracks // [ meta, names, bigWigs ]
    contacts // [ meta, contacts ]
    model // [ meta, run folder ], or [ meta, [] ] for a model that ships

    main:
    // The tracks must be on the scale of the model that will see them.
    unlabelled = variants.map { meta, vcf, _index -> [meta, vcf, []] }
    GENOMIX_PREPARE(unlabelled, fasta, tracks, contacts, model)
    BCFTOOLS_CONTIGS(variants.map { meta, vcf, _index -> [meta, vcf] })

    jobs = variants
        .join(BCFTOOLS_CONTIGS.out.contigs)
        .flatMap { meta, vcf, index, names ->
            names.readLines().withIndex().collect { contig, number ->
                [meta + [part: number], vcf, index, contig]
            }
        }
    GENOMIX_SCORE(jobs, GENOMIX_PREPARE.out.shard.first(), model)

    parts = GENOMIX_SCORE.out.vcf
        .toSortedList { one, other -> one[0].part <=> other[0].part }
        .filter { sorted -> sorted.size() > 0 }
        .map { sorted -> [[id: sorted[0][0].id], sorted.collect { part -> part[1] }] }
    BCFTOOLS_CONCAT(parts)
    TABIX_TABIX(BCFTOOLS_CONCAT.out.vcf)

    emit:
    vcf = BCFTOOLS_CONCAT.out.vcf // [ meta, vcf ]
    index = TABIX_TABIX.out.index // [ meta, tbi ]
}

// 'ATAC=a.bw,H3K27ac=b.bw' as what the processes take.
def track_files(text) {
    def pairs = text ? text.tokenize(',').collect { pair -> pair.trim().tokenize('=') } : []
    def names = pairs.collect { pair -> pair[0] }
    def files = pairs.collect { pair -> file(pair.drop(1).join('='), checkIfExists: true) }
    return [[id: 'tracks'], names, files]
}

// Whatever of these lies beside a file.
def beside(path, suffixes) {
    return suffixes.collect { suffix -> file("${path}${suffix}") }.findAll { index -> index.exists() }
}

workflow {
    main:
    if (!params.vcf || !params.fasta) {
        error("give --vcf and --fasta")
    }
    if (!(params.entry in ['score', 'train'])) {
        error("--entry ${params.entry}: expected score or train")
    }
    if (params.entry == 'train' && !(params.train_vcf && params.train_valid_contigs)) {
        error("--entry train needs --train_vcf and --train_valid_contigs")
    }

    vcf = file(params.vcf, checkIfExists: true)
    variants = channel.of([[id: vcf.simpleName], vcf, beside(params.vcf, ['.tbi', '.csi'])])
    fasta = channel.value(
        [[id: 'fasta'], file(params.fasta, checkIfExists: true), beside(params.fasta, ['.fai', '.gzi'])]
    )
    tracks = channel.value(track_files(params.tracks))
    contacts = channel.value(
        [[id: 'contacts'], params.contacts ? file(params.contacts, checkIfExists: true) : []]
    )

    if (params.entry == 'train') {
        labels = params.train_labels ? file(params.train_labels, checkIfExists: true) : []
        labelled = channel.of([[id: 'labelled'], file(params.train_vcf, checkIfExists: true), labels])
        TRAIN(labelled, fasta, tracks, contacts, channel.value(params.train_valid_contigs))
        model = TRAIN.out.model.first()
    }
    else {
        run = params.model_dir ? file(params.model_dir, checkIfExists: true) : []
        model = channel.value([[id: 'model'], run])
    }
    SCORE(variants, fasta, tracks, contacts, model)

    channel.topic('versions')
        .map { name, tool, version -> "${name.tokenize(':').last()}:\n    ${tool}: ${version}" }
        .unique()
        .collectFile(
            name: 'versions.yml',
            storeDir: "${params.outdir}/pipeline_info",
            sort: true,
            newLine: true,
        )
}
