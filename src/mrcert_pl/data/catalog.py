"""Data sets by name: the published ones, folders of images, attacked sets, and those that are registered."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from mrcert_pl.data.attacked import describe_attacked
from mrcert_pl.data.description import DatasetDescription
from mrcert_pl.data.digits import Digits
from mrcert_pl.data.own_images import describe_folder
from mrcert_pl.data.standard import descriptions
from mrcert_pl.errors import ConfigurationError, unknown

# Called with the folder and the table of labels that were given, if any.
Factory = Callable[[str | Path | None, str | Path | None], DatasetDescription]

_BUILT_IN: dict[str, DatasetDescription | Factory] = {
    "digits": DatasetDescription("digits", tuple("0123456789"), resize="whole", source=Digits),
    **{description.name: description for description in descriptions()},
    "folder": describe_folder,
    "attacked": describe_attacked,
}
_REGISTERED: dict[str, DatasetDescription | Factory] = {}


def register(name: str, data_set: DatasetDescription | Factory) -> None:
    """Add a data set, or replace one that was registered under the name.

    Args:
        name: Name for :func:`describe` and for ``name`` in ``conf/dataset``.
        data_set: Its description, or a function that makes it from the folder and the table of labels that were
            given (``None`` if not).

    Raises:
        ConfigurationError: for the name of a built-in data set, or one that can't be part of a path.
    """
    if not name.replace("-", "_").isidentifier():
        raise ConfigurationError(f"the name of a data set must consist of letters, digits, '_' and '-', got {name!r}")
    if name in _BUILT_IN:
        raise ConfigurationError(f"the data set {name!r} is built in; register another name")
    _REGISTERED[name] = data_set


def names() -> list[str]:
    """Return the names of all data sets, sorted."""
    return sorted({*_BUILT_IN, *_REGISTERED})


def describe(
    name: str, root: str | Path | None = None, labels: str | Path | None = None, module: str | None = None
) -> DatasetDescription:
    """Return the description of a data set.

    Args:
        name: One of :func:`names`.
        root: Folder of the images or of the attacked set. Only ``folder`` and ``attacked`` need it.
        labels: CSV file of labels, for ``folder``.
        module: Python module to import first, which registers the data set.

    Raises:
        ConfigurationError: for an unknown name (lists the known ones), a module that can't be imported, or labels for
            a data set that has its own.
        DataError: if there is no such folder or attacked set.
    """
    if module is not None:
        try:
            import_module(module)
        except ImportError as error:
            raise ConfigurationError(
                f"dataset.module={module} can't be imported ({error}); its folder must be on PYTHONPATH"
            ) from error
    found = _BUILT_IN.get(name) or _REGISTERED.get(name)
    if found is None:
        raise unknown("data set", name, names())
    if not isinstance(found, DatasetDescription):
        return found(root, labels)
    if labels is not None:
        raise ConfigurationError(f"the data set {name!r} has labels of its own; labels= is for dataset=folder")
    return found
