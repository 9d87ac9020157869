"""From a checkpoint alone to the model that it holds."""

from torch import nn

from mrcert_pl.errors import CheckpointError
from mrcert_pl.models import AblatedViT, BlackBox, MaskedViT, ViTSRF
from mrcert_pl.models.checkpoints import Checkpoint, restore

KINDS: dict[str, type[nn.Module]] = {kind.__name__: kind for kind in (AblatedViT, BlackBox, MaskedViT, ViTSRF)}


def rebuild(checkpoint: Checkpoint) -> nn.Module:
    """The base model that a checkpoint describes, with its weights, in evaluation mode.

    Raises:
        CheckpointError: for a kind of model, or settings of it, that this version doesn't know; if the tensors don't
            fit.
    """
    kind = checkpoint.origin["model"]
    if kind not in KINDS:
        raise CheckpointError(f"{checkpoint.path} holds a {kind}; this version knows {', '.join(sorted(KINDS))}")
    try:
        model = KINDS[kind](**checkpoint.origin["config"])
    except TypeError as error:
        raise CheckpointError(
            f"{checkpoint.path} has settings of {kind} that this version doesn't know ({error}); "
            "take the version that made it, or train again"
        ) from error
    restore(model, checkpoint)
    return model.eval()
