"""``python eval.py``, ``mrcert eval``: certification of a test set."""

from omegaconf import DictConfig

from mrcert_pl.cli.app import command, completed


@command("eval")
def main(cfg: DictConfig) -> None:
    """Certify the test images with one defender; leave a table, ``results.json``, verdicts and the mutants' labels."""
    from lightning.pytorch.utilities import rank_zero_only

    from mrcert_pl.cli.instantiate import evaluation_settings
    from mrcert_pl.cli.record import write_config
    from mrcert_pl.tasks.evaluate import RESULT, VERDICTS, evaluate
    from mrcert_pl.views.figures import draw_verdicts
    from mrcert_pl.views.terminal import show_results
    from mrcert_pl.views.wandb import log_evaluation, run_of_loggers

    cfg = completed(cfg)
    settings = evaluation_settings(cfg)
    write_config(cfg)
    evaluation = evaluate(settings)
    if rank_zero_only.rank:
        return
    print()
    show_results([evaluation.result])
    print(f"{evaluation.folder / RESULT}\n{evaluation.folder / VERDICTS}")
    for file in draw_verdicts(evaluation, cfg.pictures):
        print(file)
    log_evaluation(run_of_loggers(settings.run.loggers), evaluation)


if __name__ == "__main__":
    main()
