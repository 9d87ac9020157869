"""The console script ``mrcert``: one name for all commands."""

import difflib
import importlib
import sys

from mrcert_pl import __version__
from mrcert_pl.cli.stopping import stopping_quietly

_COMMANDS = {
    "train": "fine-tune a base model on masked images (same as python train.py)",
    "eval": "certify a test set with a defender (same as python eval.py)",
    "predict": "label own images, and state what is certified about each label",
    "serve": "label images over HTTP",
    "attack": "attack a base model with patches; writes a data set of attacked images",
    "audit certificates": "attack certified images, and check that no label and no certificate breaks",
    "audit numerics": "measure the spread of logits between runs, and the margin for certificates",
    "thresholds": "compare thresholds of refine= or of a detector on validation images",
    "plan": "compare masks by cost and visible area, before anything is trained",
    "convert": "write a checkpoint, ours or PatchCURE's, as a small safetensors file",
    "push": "upload a guard with a model card to the Hugging Face hub, or write its folder",
    "verify": "recompute all verdicts of evaluations by a second implementation, and compare",
    "cross": "let two evaluations check each other: alerts, certified detection (CrossCert)",
    "report": "show results side by side: tables, a page, two evaluations image by image",
    "dashboard": "write the W&B workspace and report of a project, and a run with all results",
}
# Commands of earlier versions.
_MOVED = {"bench": "python -m benchmarks.labelling, at the top of a checkout"}


def main() -> None:
    """Run the command named by the first arguments."""
    with stopping_quietly():
        _run()


def _run() -> None:
    arguments = sys.argv[1:]
    words = 2 if arguments[:1] == ["audit"] else 1
    name = " ".join(arguments[:words])
    if not arguments or arguments[0] in ("-h", "--help") or name in ("audit", "audit -h", "audit --help"):
        print(_usage(only="audit" if arguments[:1] == ["audit"] else ""))
    elif arguments[0] == "--version":
        print(f"mrcert {__version__}")
    elif arguments[0] in ("--completion", "--complete"):
        _complete(*arguments)
    elif name in _COMMANDS:
        sys.argv = [f"mrcert {name}", *arguments[words:]]
        importlib.import_module(f"mrcert_pl.cli.{name.replace(' ', '_')}").main()
    else:
        print(f"error: {_unknown(name)}\n\n{_usage()}", file=sys.stderr)
        sys.exit(2)


def _complete(flag: str, argument: str = "", *others: str) -> None:
    """Print the script of ``--completion SHELL``, or the candidates that it requests."""
    from mrcert_pl.cli import completion

    if flag == "--complete":
        print("".join(f"{candidate}\n" for candidate in completion.candidates(argument, _COMMANDS)), end="")
    elif argument in completion.SCRIPTS:
        print(completion.SCRIPTS[argument], end="")
    else:
        print(f"error: mrcert --completion takes a shell: {', '.join(completion.SCRIPTS)}", file=sys.stderr)
        sys.exit(2)


def _unknown(name: str) -> str:
    if name in _MOVED:
        return f"mrcert {name} is now {_MOVED[name]}"
    close = difflib.get_close_matches(name, _COMMANDS, 1)
    return f"mrcert has no command {name!r}" + (f"; did you mean {close[0]!r}?" if close else "")


def _usage(only: str = "") -> str:
    from mrcert_pl.cli.usage import wrapped

    shown = {name: what for name, what in _COMMANDS.items() if name.startswith(only)}
    lines = [line for name, what in shown.items() for line in wrapped(what, f"  {name:18}  ", " " * 22)]
    return "\n".join(
        [
            "Certified recovery from adversarial patches.\n",
            "usage: mrcert COMMAND [settings]\n",
            *lines,
            "\nmrcert COMMAND --help lists its settings; mrcert --version prints the version.",
            'Completion: eval "$(mrcert --completion bash)", or zsh;',
            "in fish: mrcert --completion fish | source",
        ]
    )


if __name__ == "__main__":
    main()
