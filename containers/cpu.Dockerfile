# ssr-edge on a CPU, through OpenVINO. From the repository's root: docker build -f containers/cpu.Dockerfile -t ssr-edge:cpu .
FROM python:3.12.12-slim-bookworm AS build
WORKDIR /src
COPY containers/requirements.txt containers/
RUN pip install --no-cache-dir --target /opt/packages -r containers/requirements.txt
COPY pyproject.toml README.md LICENSE ./
COPY ssr_edge ssr_edge
COPY train/ssr_train train/ssr_train
COPY export/ssr_export export/ssr_export
COPY kernels/ssr_kernels kernels/ssr_kernels
RUN pip install --no-cache-dir --no-deps --target /opt/ssr-edge .

FROM python:3.12.12-slim-bookworm
LABEL org.opencontainers.image.title="ssr-edge" \
      org.opencontainers.image.description="Breast-histopathology classification on a CPU. Decision support for research, not a medical device." \
      org.opencontainers.image.licenses="Apache-2.0"
RUN useradd --no-log-init --create-home --uid 10001 ssr-edge && install -d -o ssr-edge /data
# Updates of ssr-edge change only the second layer (about 17 MB), so devices download little.
COPY --from=build /opt/packages /opt/packages
COPY --from=build /opt/ssr-edge /opt/ssr-edge
ENV PATH=/opt/ssr-edge/bin:$PATH \
    PYTHONPATH=/opt/ssr-edge:/opt/packages \
    PYTHONUNBUFFERED=1
USER 10001
WORKDIR /data
HEALTHCHECK --interval=5m --timeout=30s --start-period=30s CMD ["ssr-edge", "doctor", "--runtime", "openvino"]
ENTRYPOINT ["ssr-edge"]
CMD ["--help"]
