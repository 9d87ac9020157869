"""The console script ``mrcert``: one name for all commands."""

import importlib
import sys

from mrcert_pl import __version__

_COMMANDS = {
    "train": "fine-tune a base model on masked images (same as python train.py)",
    "eval": "certify a test set with a defender (same as python eval.py)",
    "predict": "label pictures of your own, and say what is certain about each label",
    "serve": "label pictures over HTTP, the same way",
    "attack": "attack a base model with patches, and leave a data set of attacked images that eval takes",
    "audit": "try to break certificates (audit certificates), measure rounding (audit numerics)",
    "plan": "compare masks by what they cost and how much they leave to see, before anything is trained",
    "convert": "make a small safetensors of a checkpoint, ours or PatchCURE's, that eval takes",
    "verify": "compute all verdicts of evaluations again by a second implementation, and compare",
    "report": "show results side by side: tables, an HTML page, two evaluations image by image",
    "dashboard": "write the W&B workspace and report of a project, and a run with all results",
}


_MOVED = {"bench": "python -m benchmarks.labelling, at the top of a checkout"}


def main() -> None:
    """Hand over to the command that the first argument names."""
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_usage())
    elif arguments[0] == "--version":
        print(f"mrcert {__version__}")
    elif arguments[0] in _MOVED:
        print(f"error: mrcert {arguments[0]} is now {_MOVED[arguments[0]]}", file=sys.stderr)
        sys.exit(2)
    elif arguments[0] not in _COMMANDS:
        print(f"error: mrcert has no command {arguments[0]!r}\n\n{_usage()}", file=sys.stderr)
        sys.exit(2)
    else:
        sys.argv = [f"mrcert {arguments[0]}", *arguments[1:]]
        importlib.import_module(f"mrcert_pl.cli.{arguments[0]}").main()


def _usage() -> str:
    lines = [f"  {name:9}  {what}" for name, what in _COMMANDS.items()]
    return "\n".join(
        [
            "Certified recovery from adversarial patches.\n",
            "usage: mrcert COMMAND [settings]\n",
            *lines,
            "\nmrcert COMMAND --help tells more; mrcert --version prints the version.",
        ]
    )
