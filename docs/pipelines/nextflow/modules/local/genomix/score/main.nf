process GENOMIX_SCORE {
    tag "$meta.id"
    label 'process_medium'

    conda "${moduleDir}/environment.yml"
    container 'localhost/genomix-toolkit:0.1.0'

    input:
    tuple val(meta), path(vcf), path(vcf_index), val(contig)
    tuple val(meta2), path(genome)
    tuple val(meta3), path(model)

    output:
    tuple val(meta), path("${prefix}.vcf.gz"), emit: vcf
    tuple val(meta), path("${prefix}.json"), emit: stats
    tuple val("${task.process}"), val('genomix'), eval("genomix --version | sed 's/genomix //'"), topic: versions, emit: versions_genomix

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: ''
    prefix = task.ext.prefix ?: "${meta.id}_scored"
    // In braces any name is one name, HLA-A*01:01 too.
    def regions_arg = contig ? "--regions '{${contig}}'" : ''
    def model_arg = model ? "--model ${model}" : ''
    """
    genomix score \\
        ${vcf} \\
        --genome ${genome} \\
        ${model_arg} \\
        ${regions_arg} \\
        --threads ${task.cpus} \\
        --stats ${prefix}.json \\
        --output ${prefix}.vcf.gz \\
        ${args}
    """

    stub:
    prefix = task.ext.prefix ?: "${meta.id}_scored"
    """
    echo '' | gzip > ${prefix}.vcf.gz
    echo '{}' > ${prefix}.json
    """
}
