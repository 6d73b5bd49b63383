# The images of Baton, one target each:
#
#   serving        the server on CPU:     docker build --target serving -t baton:0.2.0 .
#   serving-cuda   the server on CUDA:    docker build --target serving-cuda -t baton:0.2.0-cuda .
#   serving-demo   serving, with models/ inside, to try without a volume
#   training       trains and publishes:  docker build --target training -t baton-training:0.2.0 .
#
# The base is pinned by digest, of the index for all processors; renew it for the fixes of Debian and CPython:
#   docker buildx imagetools inspect python:3.11-slim-bookworm
# 3.11 is the interpreter that the tests run on.
ARG PYTHON_IMAGE=docker.io/library/python:3.11-slim-bookworm@sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b


FROM ${PYTHON_IMAGE} AS base
# HOME is writable under a read-only root; ONNX Runtime's wheels send telemetry unless they are told not to
# before the first import (microsoft/onnxruntime pull request 27379).
ENV PATH=/opt/baton/bin:$PATH \
    HOME=/tmp \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    ORT_DISABLE_TELEMETRY=1
# A number, so that Kubernetes can see that it is not root. /cache is for files that outlive a container.
RUN groupadd --gid 10001 baton \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin baton \
 && mkdir -p /models /cache /runs \
 && chown 10001:10001 /models /cache /runs
WORKDIR /tmp


# ONNX's StringNormalizer, which text models of scikit-learn have, changes case in this locale unless its node names
# another, and slim images have none. 3 MB, made where its sources need not stay.
FROM ${PYTHON_IMAGE} AS locale
RUN apt-get update -qq \
 && apt-get install -y -qq --no-install-recommends locales \
 && mkdir -p /usr/lib/locale \
 && localedef --no-archive -i en_US -f UTF-8 /usr/lib/locale/en_US.utf8


# The environment without pip in it, made where it will lie. Dependencies are installed from pyproject.toml
# alone, before the sources are copied, so that a changed source file costs a layer of kilobytes.
FROM base AS build
ARG PIP_NO_CACHE_DIR=1
ENV PIP="/usr/local/bin/python -m pip --python /opt/baton/bin/python" \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore
RUN /usr/local/bin/python -m venv --without-pip /opt/baton
WORKDIR /src
COPY pyproject.toml ./
RUN mkdir inference serving training && touch README.md baton.py

FROM build AS serving-environment
# The hub's client downloads tokenizers, of which a server needs none; NumPy's tests are a twentieth of the environment.
# Every package has one version and its digests: deploy/locks, which `make lock` renews.
COPY deploy/locks/serving.txt requirements.txt
RUN $PIP install --require-hashes -r requirements.txt \
 && $PIP uninstall --yes --quiet hf-xet huggingface-hub fsspec filelock \
 && find /opt/baton -path '*/numpy/*' -name tests -type d -prune -exec rm -r {} +

FROM build AS serving-cuda-environment
# CUDA and cuDNN come as wheels, in the versions that this build of ONNX Runtime was made for.
COPY deploy/locks/serving-cuda.txt requirements.txt
RUN $PIP install --require-hashes -r requirements.txt \
 && $PIP uninstall --yes --quiet hf-xet \
 && ln -s /opt/baton/lib/python3.*/site-packages /opt/baton/packages

FROM build AS training-environment
# Which build of torch this finds is pip's own setting: PIP_EXTRA_INDEX_URL or PIP_FIND_LINKS as build arguments.
ARG PIP_EXTRA_INDEX_URL
ARG PIP_FIND_LINKS
RUN $PIP install '.[training]' \
 && $PIP uninstall --yes --quiet baton

# Baton's own code, installed into the same place with nothing else there, to be laid over its dependencies.
FROM build AS code
COPY baton.py ./
COPY inference inference
COPY serving serving
COPY training training
RUN $PIP install --no-deps .


FROM base AS serving-base
COPY --from=locale /usr/lib/locale/en_US.utf8 /usr/lib/locale/en_US.utf8
ENV BATON_HOST=0.0.0.0 \
    BATON_PORT=8000 \
    BATON_MODELS=/models \
    BATON_PROFILE_CACHE=/cache
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=3s --start-period=60s --retries=3 CMD ["python", "-m", "serving.healthcheck"]
# In exec form: the server is process 1, so that SIGTERM reaches it and it drains.
ENTRYPOINT ["baton"]
CMD ["serve"]


FROM serving-base AS serving-cuda
COPY --from=serving-cuda-environment /opt/baton /opt/baton
COPY --from=code /opt/baton /opt/baton
RUN python -c "import importlib.util as u, sys; sys.exit('torch is importable' if u.find_spec('torch') else 0)"
# The container toolkit mounts the driver; the rest of CUDA lies in the environment.
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    LD_LIBRARY_PATH=/opt/baton/packages/nvidia/cu13/lib:/opt/baton/packages/nvidia/cudnn/lib \
    BATON_DEVICE=cuda
ARG VERSION=0.2.0
ARG REVISION=unknown
ARG CREATED=unknown
LABEL org.opencontainers.image.title="Baton (CUDA)" \
      org.opencontainers.image.description="Serves ONNX models over the Open Inference Protocol, on CUDA" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"


FROM base AS training
COPY --from=training-environment /opt/baton /opt/baton
COPY --from=code /opt/baton /opt/baton
# `baton train` publishes into models/ and keeps its runs in runs/, below the working directory.
WORKDIR /
ENV BATON_DATA=/data \
    MPLCONFIGDIR=/tmp/matplotlib
USER 10001:10001
ENTRYPOINT ["baton"]
CMD ["train", "--help"]
ARG VERSION=0.2.0
ARG REVISION=unknown
ARG CREATED=unknown
LABEL org.opencontainers.image.title="Baton (training)" \
      org.opencontainers.image.description="Trains PyTorch models, proves them and publishes them as bundles" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"


FROM serving-base AS serving
COPY --from=serving-environment /opt/baton /opt/baton
COPY --from=code /opt/baton /opt/baton
# A server needs no torch, and an image that could import it would be ten times as big.
RUN python -c "import importlib.util as u, sys; sys.exit('torch is importable' if u.find_spec('torch') else 0)" \
 && python -c "from tokenizers import Tokenizer; import serving.server"
ARG VERSION=0.2.0
ARG REVISION=unknown
ARG CREATED=unknown
LABEL org.opencontainers.image.title="Baton" \
      org.opencontainers.image.description="Serves ONNX models over the Open Inference Protocol" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"


FROM serving AS serving-demo
COPY models /models


# What `docker build .` gives when no target is named.
FROM serving
