#!/usr/bin/env bash
# The fast tests in environments of other versions: the lowest allowed ones, and the newest ones with pre-releases of Hydra.
#
#   bash benchmarks/versions.sh                      # all of them
#   bash benchmarks/versions.sh lowest-3.10 newest-3.13
#   VERSIONS=/somewhere bash benchmarks/versions.sh  # folder of the environments, some GB each (build/versions)
#
# Needs uv (pip install uv), which finds or downloads the interpreters.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=${VERSIONS:-build/versions}
names=("$@")
[ $# -gt 0 ] || names=(lowest-3.10 newest-3.12 newest-3.13)
# All but most commands, the how-tos and the wheel, which take long and use the same libraries.
tests=(tests/geometry tests/mutants tests/defenders tests/metrics tests/models tests/attacks tests/training
  tests/verification tests/results tests/data tests/lit tests/callbacks tests/tasks tests/views
  tests/cli/test_configs.py tests/cli/test_instantiate.py tests/cli/test_task_settings.py tests/cli/test_usage.py tests/cli/test_commands.py)

for name in "${names[@]}"; do
  kind=${name%-*} python=${name##*-} environment=$folder/$name
  uv venv --quiet --allow-existing --python "$python" "$environment"
  case $kind in
    lowest) options=(--resolution lowest-direct) ;;
    newest) options=(--upgrade --prerelease if-necessary-or-explicit "hydra-core>=1.4.0rc1" "omegaconf>=2.4.0.dev0") ;;
    *) echo "no kind of environment $kind: lowest or newest" >&2; exit 2 ;;
  esac
  uv pip install --quiet --python "$environment/bin/python" -e '.[dev]' "${options[@]}"
  echo "== $name"
  "$environment/bin/python" -c '
import importlib.metadata as m, sys
names = ("torch", "torchvision", "lightning", "timm", "torchmetrics", "hydra-core", "omegaconf", "numpy", "pydantic")
print("python", sys.version.split()[0], *(f"{name} {m.version(name)}," for name in names))'
  # Deprecations of other versions are no failures there.
  "$environment/bin/python" -m pytest -W default -q -n logical --maxprocesses 8 --dist loadfile -p no:cacheprovider "${tests[@]}"
done
