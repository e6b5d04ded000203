# The service alone: PostgreSQL and Redis or Valkey are elsewhere (see compose.yaml).

FROM python:3.12-slim AS build
WORKDIR /src
RUN python -m venv /opt/authsvc
COPY requirements-run.lock ./
RUN /opt/authsvc/bin/pip install --no-cache-dir --require-hashes --no-deps --requirement requirements-run.lock
COPY pyproject.toml README.md ./
COPY authsvc/ authsvc/
COPY loader/ loader/
COPY rules/ rules/
RUN /opt/authsvc/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.12-slim
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin authsvc
COPY --from=build /opt/authsvc /opt/authsvc
ENV PATH="/opt/authsvc/bin:$PATH" AUTHSVC_HOST="0.0.0.0"
USER 10001
EXPOSE 50051 9464
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["authsvc", "health"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["authsvc"]
CMD ["serve"]
