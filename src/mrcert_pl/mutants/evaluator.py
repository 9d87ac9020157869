"""The mutant engine: an image is encoded once, then the wanted mutants are labelled in dense batches."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from torch import BoolTensor, Tensor

from mrcert_pl.errors import ConfigurationError, NumericalError
from mrcert_pl.mutants.memory import fitting_budget, halved
from mrcert_pl.mutants.precision import full_float32
from mrcert_pl.mutants.table import MutantSet, PredictionTable, rounded_down


@runtime_checkable
class MaskableModel(Protocol):
    """What the engine asks of a model whose windows can be hidden."""

    windows: int
    """Number of windows."""

    def encode(self, images: Tensor) -> Tensor:
        """Features ``[image, ...]`` that the mutants of an image share; only the model itself reads them."""
        ...

    def classify_mutants(self, features: Tensor, image: Tensor, hidden: BoolTensor) -> Tensor:
        """Logits ``[mutant, class]`` of mutant ``i``: image ``image[i]`` with the windows ``hidden[i]`` hidden.

        All rows of one call cost the same number of tokens.
        """
        ...

    def mutant_tokens(self, hidden: BoolTensor) -> Tensor:
        """Tokens that each mutant costs, long ``[mutant]``, for ``hidden`` ``[mutant, window]``."""
        ...


@runtime_checkable
class Queries(Protocol):
    """The part of a defender that the engine sees: which entries of the table it still needs."""

    def next_queries(self, table: PredictionTable[Any]) -> BoolTensor: ...


class MutantEvaluator:
    """Fills prediction tables with the labels that a defender asks for.

    Wanted (image, mutant) pairs are grouped by the number of tokens that they cost, so that every batch is dense:
    all of its sequences have the same length. What a pair gets doesn't depend on the batch that it is in, up to
    the rounding of the arithmetic (docs/theory.md, section 6).

    Args:
        model: a model whose windows can be hidden.
        mutants: the mutants that may be asked for.
        token_budget: most tokens in one batch; bounds the memory, whatever the number of mutants. Halved whenever the
            memory of the device runs out. By default 8,192 on a CPU, more if a GPU has the memory.

    Attributes:
        labelled: mutants that have been labelled so far.
    """

    def __init__(self, model: MaskableModel, mutants: MutantSet, token_budget: int | None = None) -> None:
        if model.windows != mutants.windows:
            raise ConfigurationError(
                f"the model has {model.windows} windows and the mutants are made for {mutants.windows}"
            )
        if token_budget is not None and token_budget < 1:
            raise ConfigurationError(f"the token budget must be at least 1, not {token_budget}")
        self.model = model
        self.mutants = mutants
        self.token_budget = token_budget
        self.labelled = 0

    @torch.inference_mode()
    @full_float32()
    def evaluate(
        self,
        images: Tensor,
        defender: Queries,
        ids: Sequence[object] | None = None,
        table: PredictionTable[Any] | None = None,
    ) -> PredictionTable[Any]:
        """The table of a batch of images, with at least the entries that ``defender`` needs.

        Args:
            images: ``[image, channel, height, width]`` with values in [0, 1].
            defender: says which entries it needs until nothing is missing.
            ids: names of the images for error messages; their positions in the batch by default.
            table: the labels that are known already; it is filled up. By default nothing is known.

        Raises:
            ConfigurationError: for a model in training mode, or another number of ids.
            NumericalError: for logits that are NaN or infinite, naming the image and the hidden windows.
        """
        if getattr(self.model, "training", False):
            raise ConfigurationError("the model is in training mode, where labels are random; call model.eval() first")
        if ids is not None and len(ids) != len(images):
            raise ConfigurationError(f"{len(images)} images need as many ids, not {len(ids)}")
        if table is None:
            table = PredictionTable.empty(self.mutants, len(images), device=images.device)
        ids = range(len(images)) if ids is None else ids
        features = None
        while (wanted := defender.next_queries(table)).any():
            features = self.model.encode(images) if features is None else features
            if self.token_budget is None:
                self.token_budget = fitting_budget(features.device)
            self._fill(table, features, wanted, ids)
        return table

    def _fill(self, table: PredictionTable[Any], features: Tensor, wanted: Tensor, ids: Sequence[object]) -> None:
        assert table.margins is not None
        hidden = self.mutants.hidden.to(features.device)
        tokens = self.model.mutant_tokens(self.mutants.hidden).to(features.device)
        image, mutant = wanted.nonzero(as_tuple=True)
        for count in tokens[mutant].unique().tolist():
            left = (tokens[mutant] == count).nonzero()[:, 0]
            while len(left):
                part = left[: max(1, (self.token_budget or 0) // count)]
                rows, columns = image[part], mutant[part]
                try:
                    logits = self.model.classify_mutants(features, rows, hidden[columns]).float()  # type: ignore[arg-type]
                except torch.OutOfMemoryError as error:
                    self.token_budget = halved(len(part), count, error)
                    continue
                _check_finite(logits, [ids[row] for row in rows.tolist()], hidden[columns])
                self.labelled += len(rows)
                best = logits.topk(min(2, logits.shape[1]), dim=1)
                table.labels[rows, columns] = logits.argmax(1).to(table.labels.dtype)
                table.margins[rows, columns] = rounded_down(best.values[:, 0] - best.values[:, -1])
                left = left[len(part) :]


def _check_finite(logits: Tensor, ids: Sequence[object], hidden: Tensor) -> None:
    finite = logits.isfinite().all(1)
    if not finite.all():
        bad = int((~finite).nonzero()[0])
        windows = hidden[bad].nonzero().flatten().tolist()
        raise NumericalError(
            f"the logits of image {ids[bad]} with windows {windows} hidden are not finite; "
            "the weights or this image are damaged, or the precision is too low (try trainer.precision=32-true)"
        )
