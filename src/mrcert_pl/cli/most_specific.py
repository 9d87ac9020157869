"""Options of ``recipe/for``: of several files for a recipe, a kind of model and a data set, the most specific one.

A defaults list refers to ``RECIPE+MODEL+DATASET``. Hydra finds files by their exact name, and its version 1.4 allows no
resolver there, so this source of configurations has the options with that name: each contains the file of its choice.
"""

import builtins

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigLoadError, ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import OmegaConf

from mrcert_pl.cli.configuration import CONF_DIR

_GROUP = "recipe/for"
_SCHEME = "most-specific"


def most_specific(group: str, option: str, model: str, dataset: str) -> str | None:
    """Return the most specific option of a group for a model kind and a data set.

    The candidates are ``option_model_dataset``, ``option_model`` and ``option_dataset``, in this order.

    Args:
        group: folder below ``conf/``.
        option: option that the group refines.
        model: chosen model kind.
        dataset: chosen data set.

    Returns:
        The first candidate that has a file, else ``None``.
    """
    candidates = (f"{option}_{model}_{dataset}", f"{option}_{model}", f"{option}_{dataset}")
    return next((name for name in candidates if (CONF_DIR / group / f"{name}.yaml").is_file()), None)


class MostSpecific(ConfigSource):
    """Options ``RECIPE+MODEL+DATASET`` of ``recipe/for``."""

    @staticmethod
    def scheme() -> str:
        return _SCHEME

    def load_config(self, config_path: str) -> ConfigResult:
        if (option := _chosen(config_path)) is None:
            raise ConfigLoadError(f"there is no configuration {config_path}")
        return ConfigResult(
            provider=self.provider,
            path=self.full_path(),
            config=OmegaConf.create({"defaults": [option]}),
            header={"package": None},
        )

    def available(self) -> bool:
        return True

    def is_group(self, config_path: str) -> bool:
        return False

    def is_config(self, config_path: str) -> bool:
        return _chosen(config_path) is not None

    def list(self, config_path: str, results_filter: ObjectType | None) -> builtins.list[str]:
        return []


class MostSpecificPath(SearchPathPlugin):
    """The source as a part of the search path, behind the files."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        search_path.append("mrcert_pl", f"{_SCHEME}://{_GROUP}")


def _chosen(config_path: str) -> str | None:
    """Return the file of an option, ``None`` for every other path."""
    group, _, name = config_path.removesuffix(".yaml").rpartition("/")
    choices = name.split("+")
    if group != _GROUP or len(choices) != 3:
        return None
    return most_specific(group, *choices)


def register() -> None:
    """Make the source known to Hydra, once for a process."""
    Plugins.instance().register(MostSpecific)
    Plugins.instance().register(MostSpecificPath)
