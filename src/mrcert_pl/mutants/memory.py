"""The token budget that fits into the memory of a device."""

import torch

from mrcert_pl.errors import ConfigurationError

# On a CPU, larger batches are not faster.
_ON_CPU = 8192
# An upper bound of the activations of one block of a large ViT per token, in float32.
_BYTES_PER_TOKEN = 1 << 16
_MOST = 1 << 18


def fitting_budget(device: torch.device) -> int:
    """Initial token budget per batch: derived from the free memory of a GPU, 8,192 elsewhere."""
    if device.type != "cuda":
        return _ON_CPU
    free, _ = torch.cuda.mem_get_info(device)
    return max(_ON_CPU, min(_MOST, free // _BYTES_PER_TOKEN))


def halved(mutants: int, tokens: int, error: torch.OutOfMemoryError) -> int:
    """Return the token budget after the memory has run out for a batch.

    Args:
        mutants: number of mutants in the batch.
        tokens: number of tokens of each mutant.
        error: error of the device.

    Raises:
        ConfigurationError: if the batch had a single mutant.
    """
    if mutants == 1:
        raise ConfigurationError(
            f"the memory of the device is too small for a single mutant of {tokens} tokens; free some of it, give "
            "fewer images at a time (batch_size=1), or trainer.precision=bf16-mixed"
        ) from error
    torch.cuda.empty_cache()
    return mutants // 2 * tokens
