"""From a checkpoint alone to the model that it holds."""

from typing import Any

from mrcert_pl.errors import CheckpointError
from mrcert_pl.models.checkpoints import Checkpoint, restore
from mrcert_pl.models.registry import kinds


def rebuild(checkpoint: Checkpoint) -> Any:
    """The base model that a checkpoint describes, with its weights, in evaluation mode.

    Raises:
        CheckpointError: for a class of model, or settings of it, that this version doesn't know; if the tensors don't
            fit.
    """
    kind = checkpoint.origin["model"]
    known = kinds()
    if kind not in known:
        raise CheckpointError(
            f"{checkpoint.path} holds a {kind}; this version knows {', '.join(sorted(known))}. "
            "Another one is registered by its own file, which must be imported first"
        )
    try:
        model = known[kind](**checkpoint.origin["config"])
    except TypeError as error:
        raise CheckpointError(
            f"{checkpoint.path} has settings of {kind} that this version doesn't know ({error}); "
            "take the version that made it, or train again"
        ) from error
    restore(model, checkpoint)
    return model.eval()
