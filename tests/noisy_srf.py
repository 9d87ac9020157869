"""Small ViT-SRF models with random weights."""

import torch

from mrcert_pl.models import ViTSRF

SMALL = {"img_size": 64, "embed_dim": 32, "depth": 3, "num_heads": 2}


def noisy_srf(seed=0, noise=0.3, backbone_args=SMALL, **settings):
    """A model with noise on all parameters: as initialised, biases are 0 and norms 1, and errors with them don't show.

    By default it sees 4x4 tokens of 16 px and has three blocks.
    """
    settings = {"backbone": "vit_tiny_patch16_224", "num_classes": 5, "window": (4, 1), "split": 1} | settings
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = ViTSRF(**settings, backbone_args=backbone_args).eval()
        for parameter in model.parameters():
            parameter.data += noise * torch.randn_like(parameter)
    return model


def random_images(n, px=64, seed=0):
    return torch.rand(n, 3, px, px, generator=torch.Generator().manual_seed(seed))
