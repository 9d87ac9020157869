"""Collect what a machine with PyTorch lacks, as wheels for ``benchmarks/gpu.sh``: Python 3.12, Linux, x86-64.

    python -m benchmarks.gpu_wheels wheels                  this package and the usual missing ones
    python -m benchmarks.gpu_wheels wheels timm torchmetrics   more of them

Versions are those installed here. Their own requirements are not followed: name what the machine lacks.
"""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
USUAL = (
    "adjustText",
    "annotated-types",
    "beartype",
    "hydra-core",
    "omegaconf",
    "pydantic",
    "pydantic-core",
    "typing-inspection",
)
# Published without a wheel.
_BUILT = ("antlr4-python3-runtime",)
_TARGET = ("--only-binary=:all:", "--python-version=3.12", "--implementation=cp")
_PLATFORMS = tuple(f"--platform=manylinux{name}_x86_64" for name in ("_2_28", "_2_17", "2014"))
LIMIT_MIB = 64


def commands(folder: Path, names: Sequence[str]) -> list[list[str]]:
    """Return the calls of pip that fill a folder with the wheels of packages, and of this one.

    Args:
        folder: Folder for the wheels.
        names: Names of packages that are installed here.
    """
    pinned = [f"{name}=={version(name)}" for name in (*USUAL, *names)]
    built = [f"{name}=={version(name)}" for name in _BUILT]
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    return [
        [*pip, "download", "--no-deps", *_TARGET, *_PLATFORMS, "--dest", str(folder), *pinned],
        [*pip, "wheel", "--no-deps", "--wheel-dir", str(folder), *built, str(ROOT)],
    ]


def size_mib(folder: Path) -> float:
    """Return the size of all wheels in MiB."""
    return sum(file.stat().st_size for file in folder.glob("*.whl")) / 2**20


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu_wheels",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, help="folder for the wheels")
    parser.add_argument("names", nargs="*", metavar="NAME", help="further packages")
    options = parser.parse_args(arguments)
    for command in commands(options.folder, options.names):
        subprocess.run(command, check=True)
    print(f"{len(list(options.folder.glob('*.whl')))} wheels, {size_mib(options.folder):.1f} MiB of {LIMIT_MIB}")


if __name__ == "__main__":
    main()
