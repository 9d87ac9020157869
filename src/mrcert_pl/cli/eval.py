"""``python eval.py``, ``mrcert eval``: certification of a test set."""

from typing import TYPE_CHECKING

from omegaconf import DictConfig

from mrcert_pl.cli.app import command, completed

if TYPE_CHECKING:
    from mrcert_pl.results.schema import EvaluationResult


@command("eval")
def main(cfg: DictConfig) -> "EvaluationResult | None":
    """Certify the test images with one defender; write a table, ``results.json``, verdicts and mutant labels."""
    from mrcert_pl.cli.lineage import evaluation_artifacts
    from mrcert_pl.cli.record import begun
    from mrcert_pl.cli.task_settings import evaluation_settings
    from mrcert_pl.results.runs import CONTACT_SHEET, RESULTS, VERDICTS
    from mrcert_pl.tasks.evaluate import evaluate
    from mrcert_pl.tasks.runtime import is_first_process
    from mrcert_pl.views.figures import draw_defence, draw_verdicts
    from mrcert_pl.views.terminal import show_results
    from mrcert_pl.views.wandb import MOST_EXAMPLES, log_evaluation

    cfg = completed(cfg)
    settings = evaluation_settings(cfg)
    run = begun(cfg, settings.run)
    done = evaluate(settings)
    if not is_first_process():
        return None
    show_results([done.result])
    print(f"{done.folder / RESULTS}\n{done.folder / VERDICTS}")
    drawn = done.examples[: cfg.examples] if isinstance(cfg.examples, int) else done.examples
    if drawn:
        draw_verdicts(done.folder / "examples", drawn, done.classes, done.result.patch)
        print(done.folder / "examples")
    if drawn and done.defences:
        print(draw_defence(done.folder / CONTACT_SHEET, done.defences[: len(drawn)], done.classes))
    if run:
        artifacts = evaluation_artifacts(settings, done)
        examples = done.examples[:MOST_EXAMPLES]
        log_evaluation(run, done.result, done.rows, done.locations, examples, done.classes, artifacts)
    return done.result


if __name__ == "__main__":
    main()
