"""``mrcert serve``: the guard over HTTP."""

import importlib.util
from functools import partial

from omegaconf import DictConfig

from mrcert_pl.cli.app import command
from mrcert_pl.errors import ConfigurationError


@command("serve")
def main(cfg: DictConfig) -> None:
    """Answer requests until the process is stopped."""
    if importlib.util.find_spec("litserve") is None:
        raise ConfigurationError("mrcert serve needs LitServe: pip install 'mrcert_pl[serve]'")

    from mrcert_pl.cli.task_settings import plain, prediction_settings
    from mrcert_pl.guard.serving import Limits, serve
    from mrcert_pl.tasks.predict import guard_on

    limits = Limits(
        cfg.max_megabytes,
        cfg.max_megapixels,
        cfg.max_requests,
        cfg.body_timeout,
        cfg.timeout,
        cfg.batch_timeout,
        plain(cfg.formats),
    )
    make_guard = partial(guard_on, settings=prediction_settings(cfg))
    serve(make_guard, cfg.host, cfg.port, cfg.output, cfg.device, limits, cfg.log_level)


if __name__ == "__main__":
    main()
