process GENOMIX_TRAIN {
    tag "$meta.id"
    label 'process_high'

    conda "${moduleDir}/environment.yml"
    container 'localhost/genomix-toolkit:0.1.0'

    input:
    tuple val(meta), path(shard), val(valid_contigs)

    output:
    tuple val(meta), path("${prefix}"), emit: model
    tuple val(meta), path("${prefix}/metrics.json"), emit: metrics
    tuple val("${task.process}"), val('genomix'), eval("genomix --version | sed 's/genomix //'"), topic: versions, emit: versions_genomix

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: ''
    prefix = task.ext.prefix ?: "${meta.id}_model"
    """
    genomix train \\
        ${shard} \\
        --output ${prefix} \\
        --valid-contigs '${valid_contigs}' \\
        --threads ${task.cpus} \\
        ${args}
    """

    stub:
    prefix = task.ext.prefix ?: "${meta.id}_model"
    """
    mkdir ${prefix}
    touch ${prefix}/config.json
    touch ${prefix}/metrics.json
    touch ${prefix}/model.safetensors
    """
}
