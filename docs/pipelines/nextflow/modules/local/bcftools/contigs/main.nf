process BCFTOOLS_CONTIGS {
    tag "$meta.id"
    label 'process_single'

    conda "${moduleDir}/environment.yml"
    container 'biocontainers/bcftools:1.20--h8b25389_0'

    input:
    tuple val(meta), path(vcf)

    output:
    tuple val(meta), path("${prefix}.txt"), emit: contigs
    tuple val("${task.process}"), val('bcftools'), eval("bcftools --version | sed '1!d; s/^.*bcftools //'"), topic: versions, emit: versions_bcftools

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: ''
    prefix = task.ext.prefix ?: "${meta.id}_contigs"
    """
    bcftools query \\
        --format '%CHROM\\n' \\
        ${args} \\
        ${vcf} \\
        | uniq > ${prefix}.txt
    """

    stub:
    prefix = task.ext.prefix ?: "${meta.id}_contigs"
    """
    printf 'chr1\\nchr2\\n' > ${prefix}.txt
    """
}
