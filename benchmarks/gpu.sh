#!/bin/sh
# The GPU programme (benchmarks/gpu.py) on a machine with PyTorch 2 and little else:
#   benchmarks/gpu.sh WHEELS --root data --weights deit_tiny_patch16_224.safetensors --out outputs/gpu
# WHEELS: folder of benchmarks/gpu_wheels.py. Its wheels are installed in a temporary folder; nothing is downloaded.
set -eu
wheels=$(cd "$1" && pwd)
shift
root=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-python3}
site=$(mktemp -d)
trap 'rm -rf "$site"' EXIT
"$python" -m pip install --quiet --no-index --find-links "$wheels" --no-deps --no-compile --target "$site" "$wheels"/*.whl
PYTHONPATH="$root/src:$root:$site${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1 HF_HUB_OFFLINE=1 WANDB_MODE=offline \
  "$python" -m benchmarks.gpu "$@"
