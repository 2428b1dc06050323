# The locked libraries and the package, installed where no compiler or cache follows them.
FROM python:3.11-slim-bookworm AS build
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
WORKDIR /build
COPY requirements.txt requirements-otel.txt requirements-build.txt ./
# requirements.txt locks the extra `server`; requirements-otel.txt also locks the extra `otel`, for an image that exports traces.
ARG LOCK=requirements.txt
RUN pip install --no-cache-dir --require-hashes -r $LOCK
RUN pip install --no-cache-dir --require-hashes -r requirements-build.txt
COPY setup.cfg pyproject.toml README.md ./
COPY customer_service customer_service
RUN pip install --no-cache-dir --no-deps --no-build-isolation . && pip uninstall --yes setuptools uv

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin service
COPY --from=build /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
WORKDIR /srv
COPY wsgi.py gunicorn.conf.py ./
USER 10001
EXPOSE 3001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s CMD ["python", "-c", "import http.client, os, sys; server = http.client.HTTPConnection('127.0.0.1', int(os.environ.get('PORT') or 3001), timeout=4); server.request('GET', '/livez'); sys.exit(server.getresponse().status != 200)"]
CMD ["gunicorn", "wsgi:app"]
