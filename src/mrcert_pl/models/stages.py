"""Two-stage training: the SRF half of one model, the LRF half of another (PatchCURE's recipe)."""

import torch

from mrcert_pl.errors import CheckpointError
from mrcert_pl.models.checkpoints import Checkpoint, differing
from mrcert_pl.models.vit_srf import ViTSRF


def restore_srf(model: ViTSRF, checkpoint: Checkpoint) -> None:
    """Take everything before the secure layer from a checkpoint: embedding, class token, positions, SRF blocks.

    The checkpoint may differ in its classes and head, but not in backbone, window or split.

    Raises:
        CheckpointError: if it was made from a model with another backbone, window or split, naming the differences.
    """
    settings = ("backbone", "backbone_args", "window", "split")
    if differences := differing(checkpoint.origin["config"], model.config, settings):
        raise CheckpointError(
            f"{checkpoint.path} has another first stage:\n  "
            + "\n  ".join(differences)
            + "\ngive the settings that it was trained with, or another checkpoint as srf_checkpoint="
        )
    before = ("patch_embed.", "cls_token", "pos_embed", "norm_pre.", *(f"blocks.{i}." for i in range(model.split)))
    weights = model.state_dict()
    with torch.no_grad():
        for name in (name for name in weights if name.startswith(before)):
            weights[name].copy_(checkpoint.weights[name])
