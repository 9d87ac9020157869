"""Evaluations on refined unions, of a model whose training takes no time."""

from typing import Any

from foreign_model import Columns

from mrcert_pl import DatasetSettings, EvaluationSettings, RunSettings, evaluate
from mrcert_pl.defenders import build
from mrcert_pl.defenders.refined import Refined
from mrcert_pl.tasks.evaluation import Evaluation

# Masks of three columns at every second one, refined from masks of five at every fourth.
PATCH, STRIDE, COARSER, IMAGES = "8x5", 2, (4,), 5


def evaluated(run: RunSettings, model: Columns, defender: str = "mrcert_cascade", **more: Any) -> Evaluation:
    limit, threshold = more.pop("limit", None), more.pop("threshold", 0.5)
    refined = Refined(build(defender), COARSER, threshold, limit)
    settings = {"model": model, "dataset": DatasetSettings(limit=IMAGES), "patch": PATCH, "stride": STRIDE}
    return evaluate(EvaluationSettings(defender=refined, run=run, **{**settings, **more}))
