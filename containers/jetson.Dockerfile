# ssr-edge on a Jetson with JetPack 6.1 or 6.2: TensorRT 10.3 and CUDA 12.6. For JetPack 7 see tensorrt.Dockerfile.
# On the Jetson, in the repository's root: docker build -f containers/jetson.Dockerfile -t ssr-edge:jetson .
FROM nvcr.io/nvidia/l4t-tensorrt:r10.3.0-devel AS build
# pycuda is compiled here: needs Python's headers and a compiler, if the image lacks them, and CUDA's headers and nvcc.
# hadolint ignore=DL3008 # Ubuntu keeps only the newest version of each package; JetPack 6 has 22.04
RUN apt-get update && apt-get install -y --no-install-recommends g++ python3-dev python3-pip && rm -rf /var/lib/apt/lists/*
ENV PATH=/usr/local/cuda/bin:$PATH
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

FROM nvcr.io/nvidia/l4t-tensorrt:r10.3.0-runtime
LABEL org.opencontainers.image.title="ssr-edge" \
      org.opencontainers.image.description="Breast-histopathology classification on a Jetson. Decision support for research, not a medical device." \
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
