# The guard over HTTP, on a CPU:
#   docker build -t mrcert_pl .
#   docker run -p 8000:8000 -v "$PWD/checkpoints:/models:ro" mrcert_pl
FROM python:3.12-slim
# torch and torchvision from one index: builds of different origins do not fit together.
RUN python -m pip install --no-cache-dir torch torchvision --index-url https://download.pytorch.org/whl/cpu
WORKDIR /app
COPY pyproject.toml README.md LICENSE ./
COPY conf conf
COPY src src
RUN python -m pip install --no-cache-dir ".[serve]"
RUN useradd --create-home guard
USER guard
WORKDIR /home/guard
# Read by the service of docs/howto/deploy.md.
ENV HOST=0.0.0.0
EXPOSE 8000
HEALTHCHECK --start-period=120s CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health', timeout=5)"]
CMD ["mrcert", "serve", "checkpoint=/models/best.safetensors", "host=0.0.0.0"]
