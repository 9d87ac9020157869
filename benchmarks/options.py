"""Options of the scripts that run jobs of ``mrcert``."""

import argparse
from pathlib import Path


def jobs_parser(module: str, description: str | None, jobs: str, images: str) -> argparse.ArgumentParser:
    """Return a parser with the options that the scripts share.

    Args:
        module: Name of the script's module.
        description: Its description.
        jobs: Noun for its jobs, in the plural.
        images: Folders of the data sets.
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m {module}", description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--list", action="store_true", help=f"print the {jobs} and their states; run nothing")
    parser.add_argument("--only", default="*", metavar="PATTERN", help=f"names of the {jobs} to run (default: all)")
    parser.add_argument("--out", type=Path, default=Path("outputs/results"), help="folder of the runs (%(default)s)")
    parser.add_argument("--at-once", type=int, default=1, metavar="N", help=f"{jobs} at once, for a GPU (default: 1)")
    add_sources(parser, images)
    return parser


def add_sources(parser: argparse.ArgumentParser, images: str) -> None:
    """Add the options that locate images and weights.

    Args:
        parser: Parser to extend.
        images: Folders of the data sets.
    """
    parser.add_argument("--root", type=Path, help=f"folder that holds {images} (default: data)")
    parser.add_argument("--weights", type=Path, help="file of DeiT-Ti's weights (default: from the hub)")
