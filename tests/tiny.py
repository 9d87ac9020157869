"""A base model of a few thousand weights, as overrides of the commands."""

TINY = ["model.backbone_args={embed_dim: 16, depth: 2, num_heads: 2}", "model.split=1"]
