"""One evaluation as ``mrcert verify`` sees it: its claim, its tables, and what the tables say about its mutants."""

from pathlib import Path
from typing import Any

from mrcert_pl.defenders.registry import Rule
from mrcert_pl.errors import ResultsError
from mrcert_pl.verification import rules
from mrcert_pl.verification.claims import Claim, Evidence, shapes_px
from mrcert_pl.verification.masks import Unions
from mrcert_pl.verification.placements import Placements
from mrcert_pl.verification.refined import RefinedColumns, refined_columns
from mrcert_pl.verification.votes import touched_votes


class Evaluation:
    """A claim beside its tables.

    Attributes:
        claim, result: What the evaluation wrote.
        evidence: Its tables.
        settings: Settings of the defender.
        mutants: Plain values that identify the mutants.
        image_px: Height and width of the image; ``None`` where the tables don't tell.
        stated: Mutants that the result states.
        masks: Masks as bitsets over the windows; none for votes.
        shapes: Height and width in px of every shape of the patch.
        placements: Placements of every shape; none for votes.
        parameters: Settings of the second implementation with their defaults.
        decide: Second implementation of the defender.
        refined: Columns of refined unions; ``None`` for plain ones.
        columns: Number of mutants that the defender looks at.
        sizes: Numbers of mutants, masks or votes, by name.
        kind: Kind of the mutants.

    Raises:
        ResultsError: if claim and tables don't belong together, or the tables don't say enough.
    """

    def __init__(self, claim: Claim, evidence: Evidence, rule: Rule) -> None:
        self.claim, self.evidence, self.result = claim, evidence, claim.result
        if evidence.header.get("weights_sha256") != self.result.weights_sha256:
            raise ResultsError(
                f"the tables in {evidence.folder} are of other weights than the result; "
                "name those of this evaluation with --tables"
            )
        if self.result.mutants is None:
            raise ResultsError(f"the result in {claim.folder} does not say which mutants the defender looks at")
        self.stated = self.result.mutants
        self.settings = {n: v for n, v in self.result.defender_settings.items() if n not in ("name", "_target_")}
        self.mutants = dict(evidence.mutants())
        borders = evidence.borders()
        image_px = (borders[0][-1], borders[1][-1]) if borders else self.mutants.get("image_px")
        self.image_px = None if image_px is None else (int(image_px[0]), int(image_px[1]))
        self.shapes = () if self.image_px is None else shapes_px(self.result, self.image_px)
        self.masks = [int(mask, 16) for mask in self.mutants.get("masks", ())]
        self.placements: list[Placements] = []
        if self.masks and borders:
            self.placements = [Placements(self.masks, borders, shape) for shape in self.shapes]
        elif self.masks and self.result.defender != "undefended":
            raise ResultsError(
                f"the tables in {evidence.folder} don't say where the windows are, so it can't be checked that the "
                "masks cover the patch; evaluate again"
            )
        self.parameters = rules.defaults(rule)
        self.decide = rules.bound(rule, {**self.mutants, "patch_px": self.shapes}, self.settings, self.result.defender)
        self.refined: RefinedColumns | None = None
        self.sizes: dict[str, Any] = {}
        if self.masks:
            self._count_unions()
        else:
            self._count_votes()

    def _count_unions(self) -> None:
        self.kind = "unions"
        order = rules.order(self.result.defender, self.settings, self.stated.sizes.get("order", 0))
        self.columns = Unions(self.masks, order).sizes[-1]
        self.sizes = {
            "masks": len(self.masks),
            "unions": self.columns,
            "order": order,
            "windows": self.mutants["windows"],
        }
        if "coarser" in self.mutants:
            self.refined = refined_columns(self.mutants, order)
            self.columns = self.refined.columns
            self.sizes |= {"levels": self.refined.path.shape[1], "columns": self.columns}

    def _count_votes(self) -> None:
        self.kind = self.mutants["ablations"]
        touched = touched_votes(self.mutants, self.shapes)
        self.columns = touched.shape[1] + 1
        self.sizes = {n: self.mutants[n] for n in ("width", "stride")}
        self.sizes |= {"votes": touched.shape[1], "delta": int(touched.sum(1).max())}


def tables_of(claim: Claim) -> Path:
    """Folder of the tables of an evaluation: its own, else the one that it names.

    Raises:
        ResultsError: if it names none.
    """
    own = claim.folder / "mutants"
    if own.is_dir():
        return own
    if claim.result.table is None:
        raise ResultsError(f"the result in {claim.folder} names no tables; name them with --tables")
    return Path(claim.result.table)
