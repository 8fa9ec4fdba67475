process GENOMIX_PREPARE {
    tag "$meta.id"
    label 'process_low'

    conda "${moduleDir}/environment.yml"
    container 'localhost/genomix-toolkit:0.1.0'

    input:
    tuple val(meta), path(vcf), path(labels)
    tuple val(meta2), path(fasta), path(fasta_index)
    tuple val(meta3), val(track_names), path(tracks)
    tuple val(meta4), path(contacts)
    tuple val(meta5), path(scale)

    output:
    tuple val(meta), path("${prefix}.h5"), emit: shard
    tuple val("${task.process}"), val('genomix'), eval("genomix --version | sed 's/genomix //'"), topic: versions, emit: versions_genomix

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: ''
    prefix = task.ext.prefix ?: "${meta.id}"
    def track_files = tracks instanceof List ? tracks : [tracks]
    def track_args = [track_names, track_files].transpose().collect { name, bigwig -> "--track '${name}=${bigwig}'" }.join(' ')
    def labels_arg = labels ? "--labels ${labels}" : ''
    def contacts_arg = contacts ? "--contacts ${contacts}" : ''
    def scale_arg = scale ? "--normalise-like ${scale}" : ''
    """
    genomix prepare variants \\
        --vcf ${vcf} \\
        --fasta ${fasta} \\
        ${track_args} \\
        ${contacts_arg} \\
        ${labels_arg} \\
        ${scale_arg} \\
        --threads ${task.cpus} \\
        --output ${prefix}.h5 \\
        ${args}
    """

    stub:
    prefix = task.ext.prefix ?: "${meta.id}"
    """
    touch ${prefix}.h5
    """
}
