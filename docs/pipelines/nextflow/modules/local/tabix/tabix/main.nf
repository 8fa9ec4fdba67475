process TABIX_TABIX {
    tag "$meta.id"
    label 'process_single'

    conda "${moduleDir}/environment.yml"
    container 'biocontainers/htslib:1.20--h81da01d_0'

    input:
    tuple val(meta), path(tab)

    output:
    tuple val(meta), path("*.tbi"), emit: index
    tuple val("${task.process}"), val('tabix'), eval("tabix --version | sed '1!d; s/^.* //'"), topic: versions, emit: versions_tabix

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: '--preset vcf'
    """
    tabix ${args} ${tab}
    """

    stub:
    """
    touch ${tab}.tbi
    """
}
