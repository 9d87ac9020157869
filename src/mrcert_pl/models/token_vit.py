"""TokenViT: a timm ViT taken apart, so that its blocks can run on some of its tokens."""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from timm.models.beit import Beit
from timm.models.beit import Block as BeitBlock
from timm.models.deit import VisionTransformerDistilled
from timm.models.eva import Eva
from timm.models.naflexvit import NaFlexVit
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from mrcert_pl.models.flops import block_flops

SUPPORTED = (VisionTransformer, VisionTransformerDistilled, Eva, Beit, NaFlexVit)
"""Classes of timm whose models are taken apart here. A subclass is not: it may compute something else."""

POOLS = ("token", "avg", "map")
"""Poolings that are defined for some of the tokens: class token, average, attention."""

_PREFIX = ("cls_token", "dist_token", "reg_token")
_UNDECAYED = {*_PREFIX, "pos_embed", "pos_embed_y", "pos_embed_x", "freqs", "relative_position_bias_table"}


class TokenViT(nn.Module):
    """Embedding, prefix tokens, blocks and read-out of a timm ViT, each for any subset of the patch tokens.

    A token enters the first block as a function of its own patch and position. In the blocks, tokens meet in attention
    alone, whose biases and rotations depend on the positions of the two tokens. So with hidden tokens left out the
    logits are a function of the visible pixels (docs/theory.md, Theorem 14).

    Parameters and submodules have the names that they have in timm. Prefix tokens are the class token, the
    distillation token and the registers.

    Args:
        vit: A model of one of the classes :data:`SUPPORTED`.
        image_px: ``(height, width)`` of the images in px.

    Attributes:
        token_grid: ``(rows, columns)`` of patch tokens.
        token_px: ``(height, width)`` of a patch in px.
        prefix_tokens: Number of tokens in front of the patch tokens.
    """

    # Parts of a timm model, or None.
    patch_embed: Any
    embeds: Any
    pos_drop: Any
    norm_pre: Any
    rope: Any
    rel_pos_bias: Any
    blocks: Any
    norm: Any
    attn_pool: Any
    fc_norm: Any
    head_drop: Any
    head: Any
    head_dist: Any
    pos_embed: nn.Parameter | None

    def __init__(self, vit: nn.Module, image_px: tuple[int, int]) -> None:
        super().__init__()
        self.adopt(vit, image_px)

    def adopt(self, vit: Any, image_px: tuple[int, int]) -> None:
        """Take over the parts of a timm model."""
        for name in (*_PREFIX, "pos_embed"):
            self.register_parameter(name, vit._parameters.get(name))
        for name in ("norm_pre", "pos_drop"):
            self.add_module(name, nn.Identity())
        for name in ("rope", "rel_pos_bias", "attn_pool", "head_dist", "embeds", "patch_embed"):
            self.add_module(name, None)
        for name, part in vit.named_children():
            self.add_module(name, part)
        self.vit_class = type(vit)
        self.prefix_tokens: int = vit.num_prefix_tokens
        self.dim: int = vit.embed_dim
        self.token_px: tuple[int, int] = tuple(self._embedding.patch_size)
        self.token_grid = (image_px[0] // self.token_px[0], image_px[1] // self.token_px[1])
        self.tokens = self.token_grid[0] * self.token_grid[1]
        self.pool: str = vit.global_pool
        # timm's Eva pools by attention over all tokens.
        includes_prefix = getattr(vit, "pool_include_prefix", type(vit) is Eva and vit.global_pool == "map")
        self._pool_from = 0 if includes_prefix else self.prefix_tokens
        self._prefix_has_positions = not getattr(vit, "no_embed_class", False) and type(vit) is not NaFlexVit

    @property
    def positions_in_blocks(self) -> bool:
        """Whether blocks use positions: rotary ones, or biases by relative position."""
        return self.rope is not None or self._relative_index is not None

    def embed(self, pixels: Float[Tensor, "image 3 height width"]) -> Float[Tensor, "image token dim"]:
        """Patch tokens of normalised images, row by row, as they enter the first block."""
        if self.embeds is not None:
            return self.norm_pre(self.embeds(pixels)[0][:, self.prefix_tokens :])
        x = self.patch_embed(pixels)
        # With dynamic_img_size timm keeps the grid.
        x = self._positioned(x.flatten(1, 2) if x.ndim == 4 else x, None)
        return self.norm_pre(self.pos_drop(x))

    def embed_patches(
        self,
        patches: Float[Tensor, "row token 3 patch_height patch_width"],
        token: Int[Tensor, "row token"],
    ) -> Float[Tensor, "row token dim"]:
        """Tokens of single patches, as they enter the first block; ``token`` numbers them row by row."""
        embedding = self._embedding
        if isinstance(embedding.proj, nn.Linear) and embedding.channels_last:
            patches = patches.permute(0, 1, 3, 4, 2)
        flat = patches.flatten(2)
        if getattr(embedding, "norm_input", None) is not None:
            flat = embedding.norm_input(flat)
        # A convolution whose stride is its size, as one product.
        x = embedding.norm(F.linear(flat, embedding.proj.weight.flatten(1), embedding.proj.bias))
        drop = self.pos_drop if self.embeds is None else self.embeds.pos_drop
        return self.norm_pre(drop(self._positioned(x, token)))

    def prefix(self, rows: int | torch.SymInt, positions: bool = True) -> Float[Tensor, "row prefix dim"]:
        """Prefix tokens as they enter the first block, with their positions or without."""
        source = self if self.embeds is None else self.embeds
        tokens = [getattr(source, name, None) for name in _PREFIX]
        found = [token for token in tokens if token is not None]
        if not found:
            return self.head.weight.new_empty(rows, 0, self.dim)
        x = torch.cat(found, dim=1)
        if positions and self.pos_embed is not None and self._prefix_has_positions:
            x = x + self.pos_embed[:, : self.prefix_tokens]
        x = x.expand(rows, -1, -1)
        return self.norm_pre(self.pos_drop(x) if positions else x)

    def run(
        self,
        blocks: range,
        x: Float[Tensor, "row sequence dim"],
        token: Int[Tensor, "row token"],
        times: Float[Tensor, "_ sequence"] | None = None,
    ) -> Float[Tensor, "row sequence dim"]:
        """Run some of the blocks.

        Args:
            blocks: Numbers of the blocks.
            x: Sequences: prefix tokens, then patch tokens.
            token: Number of each patch token in the grid, row by row.
            times: Number of equal tokens that each token stands for, 0 for padding; ``None``: 1 each.
        """
        # A token that stands for m equal ones attracts attention like one whose key has a bias of ln m.
        bias = None if times is None else times.log()[:, None, None, :]
        index = self._relative_index
        if self.vit_class is Beit:
            pairs = None
            if index is not None:
                numbers = F.pad(token + 1, (1, 0))  # 0 is the class token
                pairs = index[numbers[:, :, None], numbers[:, None, :]]
            for number in blocks:
                x = _relative_block(self.blocks[number], x, self._relative_bias(number, pairs, bias))
            return x
        if self.rope is None:
            for number in blocks:
                x = self.blocks[number](x, attn_mask=bias)
            return x
        cached = getattr(self.rope, "feat_shape", None) is not None
        rotations = self.rope.get_embed() if cached else self.rope.get_embed(shape=list(self.token_grid))
        for number in blocks:
            x = self.blocks[number](x, rope=_of_block(rotations, number, token), attn_mask=bias)
        return x

    def read_out(
        self, x: Float[Tensor, "row sequence dim"], times: Float[Tensor, "_ sequence"] | None = None
    ) -> Float[Tensor, "row class"]:
        """Logits of the sequences that leave the last block; ``times`` as in :meth:`run`."""
        x = self.norm(x)
        if self.head_dist is not None:
            return (self.head(self.head_drop(x[:, 0])) + self.head_dist(self.head_drop(x[:, 1]))) / 2
        if self.pool == "token":
            pooled = x[:, 0]
        else:
            x = x[:, self._pool_from :]
            times = None if times is None else times[:, self._pool_from :]
            if self.pool == "map":
                pooled = self.attn_pool(x, attn_mask=None if times is None else times.log()[:, None, None, :])
            else:
                pooled = average(x, times)
        return self.head(self.head_drop(self.fc_norm(pooled)))

    def sequence_flops(self, blocks: range, tokens: Int[Tensor, " row"]) -> Int[Tensor, " row"]:
        """Floating point operations of some blocks, for sequences of these lengths."""
        return block_flops([self.blocks[number] for number in blocks], tokens)

    def embedding_flops(self) -> int:
        """Floating point operations of the embedding of one patch."""
        return 2 * self._embedding.proj.weight.numel()

    def read_out_flops(self, tokens: Int[Tensor, " row"]) -> Int[Tensor, " row"]:
        """Floating point operations of the read-out, for sequences of these lengths."""
        heads = [self.head] if self.head_dist is None else [self.head, self.head_dist]
        constant = sum(2 * head.weight.numel() for head in heads)
        if self.attn_pool is None:
            return torch.full_like(tokens, constant)
        layers = {name: part for name, part in self.attn_pool.named_modules() if isinstance(part, nn.Linear)}
        per_token = 2 * layers.pop("kv").weight.numel() + 4 * self.dim
        constant += sum(2 * layer.weight.numel() for layer in layers.values())
        return constant + per_token * (tokens - self._pool_from)

    def undecayed(self) -> set[str]:
        """Names of the parameters without weight decay: positions, biases by position and prefix tokens."""
        return {name for name, _ in self.named_parameters() if name.rpartition(".")[2] in _UNDECAYED}

    @property
    def _embedding(self) -> Any:
        return self.patch_embed if self.embeds is None else self.embeds

    @property
    def _relative_index(self) -> Int[Tensor, "from to"] | None:
        """BEiT's index of the relative position of two tokens, the class token first."""
        if self.vit_class is not Beit:
            return None
        owner = self.rel_pos_bias or self.blocks[0].attn
        return owner.relative_position_index

    def _relative_bias(
        self, number: int, pairs: Int[Tensor, "row from to"] | None, bias: Float[Tensor, "_ 1 1 to"] | None
    ) -> Float[Tensor, "_ _ _ to"] | None:
        """What a block of BEiT adds to the products of queries and keys."""
        tables = [self.blocks[number].attn.relative_position_bias_table]
        tables.append(None if self.rel_pos_bias is None else self.rel_pos_bias.relative_position_bias_table)
        for table in tables:
            if table is not None and pairs is not None:
                relative = table[pairs].permute(0, 3, 1, 2)
                bias = relative if bias is None else bias + relative
        return bias

    def _positioned(
        self, x: Float[Tensor, "row token dim"], token: Int[Tensor, "row token"] | None
    ) -> Float[Tensor, "row token dim"]:
        """Embedded patches with their learned positions; without ``token`` they are those of the whole grid."""
        positions = self._positions()
        if positions is None:
            return x
        return x + (positions if token is None else positions[token])

    def _positions(self) -> Float[Tensor, "token dim"] | None:
        """Learned position of every patch token."""
        if self.embeds is not None:
            if self.embeds.pos_embed_type == "none":
                return None
            # timm adds them in place, resampled to the grid.
            positions = self.head.weight.new_zeros(1, self.tokens, self.dim)
            kind = self.embeds.pos_embed_type
            getattr(self.embeds, f"_apply_{kind}_pos_embed")(positions, grid_size=list(self.token_grid))
            return positions[0]
        if self.pos_embed is None:
            return None
        return self.pos_embed[0, self.prefix_tokens if self._prefix_has_positions else 0 :]


def average(
    tokens: Float[Tensor, "row token dim"], times: Float[Tensor, "_ token"] | None = None
) -> Float[Tensor, "row dim"]:
    """Average of tokens, each counted ``times``; ``None``: once."""
    if times is None:
        return tokens.mean(1)
    return (tokens * times[:, :, None]).sum(1) / times.sum(1, keepdim=True)


def _of_block(
    rotations: Float[Tensor, "*block token angle"], number: int, token: Int[Tensor, "row visible"]
) -> Float[Tensor, "row _ visible angle"]:
    """Rotations of some tokens in one block: the same in all blocks, or learned for each block and head."""
    if rotations.ndim == 2:
        return rotations[token][:, None]
    return rotations[number][:, token].transpose(0, 1)


def _relative_block(
    block: BeitBlock, x: Float[Tensor, "row sequence dim"], bias: Float[Tensor, "_ _ _ sequence"] | None
) -> Float[Tensor, "row sequence dim"]:
    """A block of BEiT on some of the tokens; timm's own takes its bias for the whole grid."""
    attention: Any = block.attn
    inner = block.norm1(x)
    weights = attention.qkv.weight
    if attention.q_bias is None:
        qkv = F.linear(inner, weights)
    else:
        qkv = F.linear(inner, weights, torch.cat([attention.q_bias, attention.k_bias, attention.v_bias]))
    q, k, v = qkv.unflatten(2, (3, attention.num_heads, -1)).permute(2, 0, 3, 1, 4)
    drop = attention.attn_drop.p if attention.training else 0.0
    attended = F.scaled_dot_product_attention(q, k, v, attn_mask=bias, dropout_p=drop)
    attended = attention.proj_drop(attention.proj(attended.transpose(1, 2).flatten(2)))
    scale_attention: Any = 1 if block.gamma_1 is None else block.gamma_1
    scale_mlp: Any = 1 if block.gamma_2 is None else block.gamma_2
    x = x + block.drop_path1(scale_attention * attended)
    return x + block.drop_path2(scale_mlp * block.mlp(block.norm2(x)))
