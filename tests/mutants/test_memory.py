import pytest
from torch import cuda, device

from mrcert_pl.mutants.memory import fitting_budget


def test_the_budget_grows_with_the_free_memory_of_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    assert fitting_budget(device("cpu")) == 8192
    free = {1 << 30: 16384, 1 << 20: 8192, 80 << 30: 262144}
    for size, budget in free.items():
        monkeypatch.setattr(cuda, "mem_get_info", lambda _, size=size: (size, 80 << 30))
        assert fitting_budget(device("cuda")) == budget
