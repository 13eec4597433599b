# ssr-edge on NVIDIA GPUs: x86, and Jetsons with JetPack 7, which run NVIDIA's ordinary arm64 images.
# From the repository's root: docker build -f containers/tensorrt.Dockerfile -t ssr-edge:tensorrt .
# 25.10 has TensorRT 10.13.3 and CUDA 13; for another CUDA 13 release use --build-arg RELEASE=YY.MM.
ARG RELEASE=25.10
FROM nvcr.io/nvidia/tensorrt:${RELEASE}-py3 AS build
# pycuda is compiled here: needs Python's headers and a compiler, if the image lacks them, and CUDA's headers and nvcc.
# hadolint ignore=DL3008 # Ubuntu keeps only the newest version of each package; the image tag determines the Ubuntu release
RUN apt-get update && apt-get install -y --no-install-recommends g++ python3-dev python3-pip && rm -rf /var/lib/apt/lists/*
# PIP_CONSTRAINT: NVIDIA's pins apply to packages in its image; ours are installed separately.
ENV PATH=/usr/local/cuda/bin:$PATH \
    PIP_CONSTRAINT=""
# No random numbers are generated on the GPU: one run-time library fewer.
RUN echo "CUDA_ENABLE_CURAND = False" > "$HOME/.aksetup-defaults.py"
WORKDIR /src
COPY containers/requirements.txt containers/requirements-gpu.txt containers/
RUN python3 -m pip install --no-cache-dir --target /opt/packages \
    -r containers/requirements.txt -r containers/requirements-gpu.txt
COPY pyproject.toml README.md LICENSE ./
COPY ssr_edge ssr_edge
COPY train/ssr_train train/ssr_train
COPY export/ssr_export export/ssr_export
COPY kernels/ssr_kernels kernels/ssr_kernels
RUN python3 -m pip install --no-cache-dir --no-deps --target /opt/ssr-edge .

FROM nvcr.io/nvidia/tensorrt:${RELEASE}-py3
LABEL org.opencontainers.image.title="ssr-edge" \
      org.opencontainers.image.description="Breast-histopathology classification on NVIDIA GPUs. Decision support for research, not a medical device." \
      org.opencontainers.image.licenses="Apache-2.0"
RUN useradd --no-log-init --create-home --uid 10001 ssr-edge && install -d -o ssr-edge /data
COPY --from=build /opt/packages /opt/packages
COPY --from=build /opt/ssr-edge /opt/ssr-edge
ENV PATH=/opt/ssr-edge/bin:$PATH \
    PYTHONPATH=/opt/ssr-edge:/opt/packages \
    PYTHONUNBUFFERED=1 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 10001
WORKDIR /data
# Also detects that a running container has lost its GPU (NVIDIA/nvidia-container-toolkit #48).
HEALTHCHECK --interval=5m --timeout=60s --start-period=60s CMD ["ssr-edge", "doctor", "--runtime", "tensorrt"]
ENTRYPOINT ["ssr-edge"]
CMD ["--help"]
