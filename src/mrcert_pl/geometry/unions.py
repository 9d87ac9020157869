"""The distinct unions of masks, by their smallest number of masks."""

from collections.abc import Iterable
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from mrcert_pl.errors import ConfigurationError
from mrcert_pl.geometry.covering import check_covering, covering_masks, window_borders
from mrcert_pl.geometry.patch import PatchSpec

MAX_UNIONS = 500_000


class UnionLattice:
    """The distinct unions of at most ``order`` masks, the empty union first (docs/theory.md, Definition 4).

    A mutant is an image with one union hidden, so the columns of a prediction table are the unions of a lattice.
    Unions are sorted by their smallest number of masks, so the columns of a lower order are a prefix of those of a
    higher one.

    Args:
        masks: bitsets over the windows, from :func:`mrcert_pl.geometry.covering_masks`.
        windows: number of windows of the grid.
        order: largest number of masks in a union.
        allow_blind: whether unions may hide every window. The label of such a mutant is the same for all images, so a
            certificate that uses it certifies at most one class.

    Attributes:
        unions: the unions as bitsets; ``unions[0]`` is the empty one.
        hidden: hidden windows of each mutant.
        orders: smallest number of masks of each union.
        visible: number of visible windows of each mutant.

    Raises:
        ConfigurationError: if there is no mask, a mask leaves the grid, a union hides every window, or there are
            more than 500,000 unions.
    """

    def __init__(self, masks: Iterable[int], windows: int, order: int, allow_blind: bool = False) -> None:
        self.masks = tuple(dict.fromkeys(masks))
        self.windows = windows
        self.order = order
        if not self.masks:
            raise ConfigurationError("a lattice needs at least one mask")
        if order < 0:
            raise ConfigurationError(f"the order of a lattice must be at least 0, not {order}")
        everything = (1 << windows) - 1
        if any(not 0 < mask <= everything for mask in self.masks):
            raise ConfigurationError(f"a mask is empty or hides a window outside the grid of {windows} windows")

        self._index: dict[int, int] = {0: 0}
        self._sizes = [1]
        frontier = [0]
        for reached in range(1, order + 1):
            before = len(self._index)
            for union in frontier:
                for mask in self.masks:
                    self._index.setdefault(union | mask, len(self._index))
                if len(self._index) > MAX_UNIONS:
                    raise ConfigurationError(
                        f"{len(self.masks)} masks have more than {MAX_UNIONS:,} distinct unions of order {order}; "
                        "take a larger mask stride, larger windows or fewer patches"
                    )
            frontier = list(self._index)[before:]
            self._sizes.append(len(self._index))
            if everything in self._index and not allow_blind:
                raise ConfigurationError(
                    f"{reached} masks together can hide all {windows} windows, and a model that sees nothing can't "
                    "support a certificate; take smaller windows, a smaller patch, a smaller stride or fewer patches "
                    f"(the order needed here is {order})"
                )
        self.unions = tuple(self._index)
        self.hidden: Bool[Tensor, "mutant window"] = hidden_windows(self.unions, windows)
        sizes = torch.tensor(self._sizes)
        self.orders: Int[Tensor, " mutant"] = torch.searchsorted(sizes, torch.arange(len(self.unions)), right=True)
        self.visible: Int[Tensor, " mutant"] = windows - self.hidden.sum(1)
        self._joins: dict[tuple[int, int], Int[Tensor, "S T"]] = {}
        self._containing: dict[int, Bool[Tensor, "R mutant"]] = {}
        self._maximal: dict[int, Int[Tensor, " entry"]] = {}

    def __len__(self) -> int:
        return len(self.unions)

    def __repr__(self) -> str:
        return f"UnionLattice({len(self.masks)} masks, {self.windows} windows, order {self.order}: {len(self)} unions)"

    def summary(self) -> dict[str, int]:
        """Plain values for results: number of masks and of distinct unions, order and windows."""
        return {"masks": len(self.masks), "unions": len(self), "order": self.order, "windows": self.windows}

    def identity(self) -> dict[str, Any]:
        """Plain values shared by the lattices of these masks of all orders; the lower is a prefix of the higher."""
        return {"windows": self.windows, "masks": [f"{mask:x}" for mask in self.masks]}

    def index(self, union: int) -> int:
        """Return the column of a union.

        Raises:
            KeyError: if it is no union of at most ``order`` masks.
        """
        return self._index[union]

    def size(self, order: int) -> int:
        """Number of distinct unions of at most ``order`` masks, the empty one included."""
        if not 0 <= order <= self.order:
            raise ConfigurationError(f"this lattice has the unions of orders 0 to {self.order}, not {order}")
        return self._sizes[order]

    def join(self, left: int, right: int) -> Int[Tensor, "S T"]:
        """Columns of ``S | T`` for every ``S`` of order up to ``left`` and ``T`` of order up to ``right``."""
        if left + right > self.order:
            raise ConfigurationError(
                f"joins of orders {left} and {right} need a lattice of order {left + right}; this one has {self.order}"
            )
        if (left, right) not in self._joins:
            rows = [
                [self._index[s | t] for t in self.unions[: self.size(right)]] for s in self.unions[: self.size(left)]
            ]
            self._joins[left, right] = torch.tensor(rows)
        return self._joins[left, right]

    def containing(self, order: int) -> Bool[Tensor, "R mutant"]:
        """Whether each mutant hides all of ``R``, for every ``R`` of order up to ``order``."""
        if order not in self._containing:
            inside, shown = self.hidden[: self.size(order)], ~self.hidden
            self._containing[order] = inside.float() @ shown.float().T == 0
        return self._containing[order]

    def maximal(self, order: int) -> Int[Tensor, " entry"]:
        """Columns of the unions of at most ``order`` masks that lie inside no other of them (Definition 14)."""
        if order not in self._maximal:
            inside = self.containing(order)[:, : self.size(order)]
            self._maximal[order] = (inside.sum(1) == 1).nonzero()[:, 0]
        return self._maximal[order]


def hidden_windows(unions: tuple[int, ...], windows: int) -> Bool[Tensor, "union window"]:
    """Return bitsets over the windows as a tensor."""
    width = -(-windows // 8)
    data = torch.frombuffer(bytearray(b"".join(union.to_bytes(width, "little") for union in unions)), dtype=torch.uint8)
    bits = data.view(len(unions), width, 1) >> torch.arange(8, dtype=torch.uint8) & 1
    return bits.view(len(unions), width * 8)[:, :windows].bool()


def covering_lattice(
    grid: tuple[int, int],
    window_px: tuple[int, int],
    patch: PatchSpec,
    order: int,
    stride: int | tuple[int, int] = 1,
) -> UnionLattice:
    """Return the lattice of the covering masks of a patch, after :func:`mrcert_pl.geometry.check_covering`.

    The arguments are those of :func:`mrcert_pl.geometry.covering_masks`, and the order of the lattice.
    """
    masks = covering_masks(grid, window_px, patch, stride)
    check_covering(masks, window_borders(grid, window_px), patch)
    return UnionLattice(masks, grid[0] * grid[1], order)
