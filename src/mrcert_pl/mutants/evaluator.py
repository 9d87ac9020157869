"""The mutant engine: encode an image once, then label the queried mutants in dense batches."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mrcert_pl.errors import ConfigurationError, NumericalError
from mrcert_pl.mutants.confidence import log_odds, top_two_margins
from mrcert_pl.mutants.memory import fitting_budget, halved
from mrcert_pl.mutants.precision import full_float32
from mrcert_pl.mutants.table import MutantSet, PredictionTable, check_mutants


@runtime_checkable
class MaskableModel(Protocol):
    """A model whose windows can be hidden."""

    windows: int
    """Number of windows."""

    def encode(self, images: Float[Tensor, "image channel height width"]) -> Float[Tensor, "image ..."]:
        """Features that the mutants of an image share; their shape is the model's own."""
        ...

    def classify_mutants(
        self, features: Float[Tensor, "image ..."], image: Int[Tensor, " mutant"], hidden: Bool[Tensor, "mutant window"]
    ) -> Float[Tensor, "mutant class"]:
        """Logits of mutant ``i``: image ``image[i]`` with the windows ``hidden[i]`` hidden.

        All mutants of one call have the same number of tokens.
        """
        ...

    def mutant_tokens(self, hidden: Bool[Tensor, "mutant window"]) -> Int[Tensor, " mutant"]:
        """Number of tokens of each mutant."""
        ...


@runtime_checkable
class Queries(Protocol):
    """A source of query rounds; every defender is one."""

    def next_queries(self, table: PredictionTable[Any]) -> Bool[Tensor, "image mutant"]:
        """Entries of the next query round; none at the end."""
        ...


class MutantEvaluator:
    """Fills prediction tables with the labels that a defender queries.

    Queried (image, mutant) pairs are grouped by their number of tokens, so every batch is dense: all its sequences have
    the same length. The label of a pair doesn't depend on its batch, up to rounding (docs/theory.md, section 6).

    Args:
        model: model whose windows can be hidden.
        mutants: mutants of the table.
        token_budget: largest number of tokens per batch, which bounds the memory; halved when the memory of the device
            runs out. Default: 8,192 on a CPU, derived from free memory on a GPU.

    Attributes:
        labelled: number of mutants labelled so far. Mutants read from the store are not counted.
        on_progress: receiver of the evaluated fraction of the table, after every batch. A defender that queries few
            entries ends below 1.
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
        self.on_progress: Callable[[float], None] | None = None

    @torch.inference_mode()
    @full_float32()
    def evaluate(
        self,
        images: Float[Tensor, "image channel height width"],
        defender: Queries,
        ids: Sequence[object] | None = None,
        table: PredictionTable[Any] | None = None,
    ) -> PredictionTable[Any]:
        """Fill a table with the entries that a defender queries for a batch of images.

        Args:
            images: images with values in [0, 1].
            defender: source of query rounds.
            ids: names of the images in error messages; default: their positions in the batch.
            table: partial table of these mutants with margins and log-odds, filled in place; default: an empty one.

        Raises:
            ConfigurationError: for a model in training mode, another number of ids, or a table of other mutants or of
                another number of images.
            NumericalError: for logits that are NaN or infinite, with the image and the hidden windows.
        """
        if getattr(self.model, "training", False):
            raise ConfigurationError("the model is in training mode, where labels are random; call model.eval() first")
        if ids is not None and len(ids) != len(images):
            raise ConfigurationError(f"{len(images)} images need as many ids, not {len(ids)}")
        if table is None:
            table = PredictionTable.empty(self.mutants, len(images), device=images.device)
        check_mutants(table, self.mutants)
        if len(table.labels) != len(images):
            raise ConfigurationError(f"{len(images)} images need a table of as many rows, not {len(table.labels)}")
        if table.margins is None or table.log_odds is None:
            raise ConfigurationError("an evaluation fills tables with margins and log-odds; take PredictionTable.empty")
        ids = range(len(images)) if ids is None else ids
        features = None
        while (queries := defender.next_queries(table)).any():
            features = self.model.encode(images) if features is None else features
            if self.token_budget is None:
                self.token_budget = fitting_budget(features.device)
            self._fill(table, features, queries, ids, self.token_budget)
        return table

    def _fill(
        self,
        table: PredictionTable[Any],
        features: Float[Tensor, "image ..."],
        queries: Bool[Tensor, "image mutant"],
        ids: Sequence[object],
        budget: int,
    ) -> None:
        assert table.margins is not None
        assert table.log_odds is not None
        hidden = self.mutants.hidden.to(features.device)
        tokens = self.model.mutant_tokens(self.mutants.hidden).to(features.device)
        image, mutant = queries.nonzero(as_tuple=True)
        for count in tokens[mutant].unique().tolist():
            left = (tokens[mutant] == count).nonzero()[:, 0]
            while len(left):
                part = left[: max(1, budget // count)]
                rows, columns = image[part], mutant[part]
                try:
                    logits = self.model.classify_mutants(features, rows, hidden[columns]).float()
                except torch.OutOfMemoryError as error:
                    self.token_budget = budget = halved(len(part), count, error)
                    continue
                _check_finite(logits, [ids[row] for row in rows.tolist()], hidden[columns])
                self.labelled += len(rows)
                table.labels[rows, columns] = logits.argmax(1).to(table.labels.dtype)
                table.margins[rows, columns] = top_two_margins(logits)
                table.log_odds[rows, columns] = log_odds(logits).float()
                left = left[len(part) :]
                if self.on_progress is not None:
                    self.on_progress(float(table.evaluated.float().mean()))


def _check_finite(
    logits: Float[Tensor, "mutant class"], ids: Sequence[object], hidden: Bool[Tensor, "mutant window"]
) -> None:
    finite = logits.isfinite().all(1)
    if not finite.all():
        bad = int((~finite).nonzero()[0])
        windows = hidden[bad].nonzero().flatten().tolist()
        raise NumericalError(
            f"the logits of image {ids[bad]} with windows {windows} hidden are not finite; "
            "the weights or this image are damaged, or the precision is too low (try trainer.precision=32-true)"
        )
