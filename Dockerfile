# The image of genomix, with bcftools and tabix beside it:
#   docker build -t localhost/genomix-toolkit:0.1.0 .
# For a GPU, on a base with NVIDIA's libraries (PyTorch's own build for CUDA is what pip takes by default):
#   docker build -t localhost/genomix-toolkit:0.1.0-cuda --build-arg BASE=nvidia/cuda:12.8.1-runtime-ubuntu24.04 .
# A smaller image for CPUs alone takes PyTorch's CPU build from an index that has it:
#   docker build --build-arg PIP_EXTRA_INDEX_URL=... .
ARG BASE=debian:bookworm-slim
# hadolint ignore=DL3006
FROM ${BASE}
ARG EXTRAS=all
ARG PIP_EXTRA_INDEX_URL
# Nextflow looks at tasks with ps. Versions are those of the base.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends bcftools procps python3 python3-venv tabix \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 10001 genomix
COPY LICENSE README.md constraints.txt pyproject.toml /src/
COPY genomix_cli /src/genomix_cli
RUN python3 -m venv /opt/genomix \
    && /opt/genomix/bin/pip install --no-cache-dir -c /src/constraints.txt "/src[${EXTRAS}]"
ENV PATH=/opt/genomix/bin:$PATH
USER 10001
WORKDIR /data
CMD ["genomix", "--help"]
