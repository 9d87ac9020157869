"""``numerics.json``: how far the logits of some weights move between runs."""

import json
from pathlib import Path

from mrcert_pl.errors import ResultsError


def read_deltas(path: Path, weights_sha256: str) -> dict[str, float]:
    """The largest difference of logits between any two runs, by precision (the ``δ`` of docs/theory.md, Theorem 6).

    Args:
        path: a file of ``mrcert audit numerics``.
        weights_sha256: digest of the weights that it must be about.

    Raises:
        ResultsError: if it can't be read, is something else, or is about other weights.
    """
    advice = "mrcert audit numerics with the same checkpoint= makes one"
    try:
        content = json.loads(path.read_text())
        deltas, weights = content["delta"], content["weights_sha256"]
    except OSError as error:
        raise ResultsError(f"can't read {path}: {error.strerror or error}; {advice}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ResultsError(f"{path} is no numerics.json, or damaged ({error!r}); {advice}") from error
    if weights != weights_sha256:
        raise ResultsError(f"{path} is about other weights ({weights[:12]}..., not {weights_sha256[:12]}...); {advice}")
    return dict(deltas)
