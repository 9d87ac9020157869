"""``mrcert convert``: weights of a checkpoint, ours or PatchCURE's, as a small safetensors file."""

import argparse
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mrcert_pl.cli import usage
from mrcert_pl.cli.app import failing_plainly
from mrcert_pl.cli.overrides import override
from mrcert_pl.errors import ConfigurationError

_ABOUT = """Write the weights and settings of a checkpoint as safetensors, without optimiser state and pickled
objects. mrcert eval reads the file as checkpoint=."""
_EXAMPLES = """examples:
  mrcert convert checkpoints/digits/vit_srf_p16/best.ckpt best.safetensors --half
  mrcert convert theirs.pth.tar theirs.safetensors --patchcure imagenet --window 14 1 --patch 32
"""


def main() -> None:
    """Write the safetensors, and the command that evaluates it."""
    parser = usage.parser("convert", _ABOUT, _EXAMPLES)
    parser.add_argument("source", type=Path, help="checkpoint of mrcert train, or with --patchcure of PatchCURE")
    parser.add_argument("target", type=Path, help="safetensors file to write")
    parser.add_argument("--half", action="store_true", help="float16 weights: half the size, three digits")
    theirs = parser.add_argument_group("files of PatchCURE and MRCert's published code")
    theirs.add_argument("--patchcure", metavar="DATASET", help="data set of the training of such a file")
    theirs.add_argument("--window", type=int, nargs=2, metavar=("HEIGHT", "WIDTH"), help="window in tokens: 14 1, 14 2")
    theirs.add_argument("--patch", default="32", help="patch size of the training (default: %(default)s)")
    theirs.add_argument("--backbone", default="vit_base_patch16_224.mae", help="backbone (default: %(default)s)")
    theirs.add_argument("--backbone-args", default="{}", help="arguments of the timm model as YAML: '{depth: 4}'")
    arguments = parser.parse_args()
    with failing_plainly():
        _convert(arguments)


def _convert(arguments: argparse.Namespace) -> None:
    from mrcert_pl.files import write_whole
    from mrcert_pl.models.checkpoints import describe_model, load_patchcure, read_checkpoint, write_weights

    source, target = arguments.source, arguments.target
    if target.suffix != ".safetensors":
        raise ConfigurationError(f"the target must be a .safetensors file, not {target}")
    if arguments.patchcure:
        if not arguments.window:
            raise ConfigurationError(
                "a PatchCURE file does not state the size of its windows; give --window 14 1 (or 14 2)"
            )
        classes = _classes(arguments.patchcure)
        model = load_patchcure(
            source,
            window=arguments.window,
            backbone=arguments.backbone,
            num_classes=len(classes),
            backbone_args=_arguments(arguments.backbone_args),
        )
        weights: Mapping[str, Any] = model.state_dict()
        origin: Mapping[str, Any] = {
            **describe_model(model),
            "name": "vit_srf",
            "dataset": arguments.patchcure,
            "classes": list(classes),
            "patch": arguments.patch,
        }
    else:
        checkpoint = read_checkpoint(source)
        weights, origin = checkpoint.weights, checkpoint.origin
    write_whole(target, lambda partial: write_weights(partial, weights, origin, arguments.half), "target")
    following = shlex.join(["mrcert", "eval", override("checkpoint", str(target))])
    print(f"{target} ({target.stat().st_size / 1e6:.1f} MB)\nCertify it with:  {following}")


def _arguments(text: str) -> dict[str, Any]:
    """Return ``--backbone-args`` as a dictionary."""
    from omegaconf import OmegaConf

    try:
        settings: Any = OmegaConf.to_container(OmegaConf.create(text))
    except Exception as error:  # The YAML parser raises several kinds of errors.
        raise ConfigurationError(f"--backbone-args is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(settings, dict):
        raise ConfigurationError(f"--backbone-args must be names and values, like '{{depth: 4}}', not {text!r}")
    return settings


def _classes(dataset: str) -> tuple[str, ...]:
    from mrcert_pl.data import describe

    return tuple(describe(dataset).classes)


if __name__ == "__main__":
    main()
