"""How many tokens fit into the memory of a device."""

import torch

from mrcert_pl.errors import ConfigurationError

# On a CPU more tokens in a batch gain nothing.
_ON_CPU = 8192
# More than the activations of one block of a large ViT take for a token in float32, and much more than a small one's.
_BYTES_PER_TOKEN = 1 << 16
_MOST = 1 << 18


def fitting_budget(device: torch.device) -> int:
    """Most tokens in one batch to begin with: by the free memory of a GPU, 8,192 elsewhere."""
    if device.type != "cuda":
        return _ON_CPU
    free, _ = torch.cuda.mem_get_info(device)
    return max(_ON_CPU, min(_MOST, free // _BYTES_PER_TOKEN))


def halved(mutants: int, tokens: int, error: torch.OutOfMemoryError) -> int:
    """The token budget to go on with, after the memory has run out for a batch.

    Args:
        mutants: number of mutants in the batch.
        tokens: of each.
        error: what the device said.

    Raises:
        ConfigurationError: if it was a single mutant.
    """
    if mutants == 1:
        raise ConfigurationError(
            f"the memory of the device is too small for a single mutant of {tokens} tokens; free some of it, give "
            "fewer images at a time (batch_size=1), or trainer.precision=bf16-mixed"
        ) from error
    torch.cuda.empty_cache()
    return mutants // 2 * tokens
