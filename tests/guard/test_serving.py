import json
import socket
from pathlib import Path
from typing import Any

import pytest
from small_models import kinds, save

from mrcert_pl.defenders import OutputLevel
from mrcert_pl.errors import ConfigurationError
from mrcert_pl.guard import Guard

pytest.importorskip("litserve", reason="LitServe is not installed: pip install 'mrcert_pl[serve]'")

from mrcert_pl.guard.serving import serve, service_info


def test_the_info_names_no_file(tmp_path: Path) -> None:
    guard = Guard.from_checkpoint(save(kinds()["masked_vit"], tmp_path / "best.ckpt"))
    info = service_info(guard, OutputLevel.MAP)
    assert info["classes"] == [f"class {label}" for label in range(5)]
    assert info["patch"] == {"shapes_px": [[1, 1]], "image_px": [64, 112]}
    assert (info["defender"], info["output"], info["require"]) == ("mrcert_sharp", "map", "certificate")
    assert "best.ckpt" not in json.dumps(info)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"host": "example.org"}, "host must be one of 127.0.0.1"),
        ({"port": 80}, "port must be a number from 1024 to 65535, got 80"),
        ({"port": True}, "got True"),
        ({"log_level": "loud"}, "unknown log_level 'loud'; choose one of: critical, debug, error, info"),
        ({"output": "all"}, "unknown output level 'all'"),
        ({"device": "tpu"}, "there is no device 'tpu' here"),
    ],
)
def test_settings_of_a_server_are_checked_before_the_guard_is_made(settings: dict[str, Any], message: str) -> None:
    def make_guard(device: str) -> Guard:
        raise AssertionError

    with pytest.raises(ConfigurationError, match=message):
        serve(make_guard, **settings)


def test_a_port_in_use_is_refused_before_the_guard_is_made() -> None:
    def make_guard(device: str) -> Guard:
        raise AssertionError

    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"port {port} of 127.0.0.1 can't be used .*name another port"):
            serve(make_guard, port=port)
