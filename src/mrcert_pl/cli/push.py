"""``mrcert push``: a guard on the Hugging Face hub, or in a folder."""

from omegaconf import DictConfig

from mrcert_pl.cli.app import command


@command("push")
def main(cfg: DictConfig) -> None:
    """Upload a guard, or write its folder; print the facts of the model card."""
    from mrcert_pl.cli.task_settings import push_settings
    from mrcert_pl.tasks.push import push

    done = push(push_settings(cfg))
    if done.results:
        print(f"The model card states {len(done.results)} accuracies with n and 95 % intervals.")
    else:
        print("The model card states no accuracies; results=FOLDER adds the evaluations of these weights.")
    if cfg.folder is None:
        print(f'{done.location}\nLoad it with:  Guard.from_pretrained("{cfg.repo}")')
    else:
        print(f"{done.location}\nNothing was uploaded; repo=owner/name does.")


if __name__ == "__main__":
    main()
