"""Every kind of document is public, and results of runs are found by their kind."""

import importlib
import pkgutil

from mrcert_pl.results import schema
from mrcert_pl.results.codec import Document
from mrcert_pl.results.schema import RUN_DOCUMENTS, RunDocument

DOCUMENTS = {
    found
    for module in pkgutil.iter_modules(schema.__path__, f"{schema.__name__}.")
    for found in vars(importlib.import_module(module.name)).values()
    if isinstance(found, type) and issubclass(found, Document) and found not in (Document, RunDocument)
}


def test_kinds_differ_and_are_public() -> None:
    assert len({document.KIND for document in DOCUMENTS}) == len(DOCUMENTS)
    assert {document.__name__ for document in DOCUMENTS} <= {*schema.__all__}


def test_results_of_runs_are_found_by_kind() -> None:
    assert {*RUN_DOCUMENTS.values()} == {document for document in DOCUMENTS if issubclass(document, RunDocument)}
    assert all(kind == document.KIND for kind, document in RUN_DOCUMENTS.items())
