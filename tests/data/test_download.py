import hashlib
import io
import tarfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from mrcert_pl.data import download
from mrcert_pl.data.download import Archive, Download, fetch, get
from mrcert_pl.errors import DataError


def packed(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


ARCHIVE = packed({"set/train/a.txt": b"a" * 5000, "set/val/b.txt": b"b", "set/readme": b"c"})
MD5 = hashlib.md5(ARCHIVE).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves one file; ``cut`` ends every answer after so many bytes, ``asked`` are the ranges asked for."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.cut: int | None = None
        self.content = ARCHIVE
        self.asked: list[str | None] = []
        self.ranges = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/set.tgz"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.server.asked.append(asked)
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and self.server.ranges else 0
        if start and start >= len(self.server.content):
            self.send_error(416)
            return
        content = self.server.content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: self.server.cut])

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "*")
    with Server() as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def tiny(server: Server) -> Download:
    return Download((Archive(server.url, MD5),), makes=("train", "val"), top="set")


def is_complete(root: Path) -> bool:
    return (root / "train").is_dir() and (root / "val").is_dir()


@pytest.mark.parametrize("exists", [False, True])
def test_the_data_set_is_unpacked_in_its_folder(exists: bool, server: Server, tmp_path: Path) -> None:
    root = tmp_path / "data" / "set"
    if exists:
        root.mkdir(parents=True)
        (root / "mine.txt").touch()
    fetch(tiny(server), root, is_complete)
    assert (root / "train/a.txt").read_bytes() == b"a" * 5000
    assert (root / "val/b.txt").exists()
    assert (root / "mine.txt").exists() == exists
    assert [entry.name for entry in root.parent.iterdir()] == ["set"]
    assert not (root / ".partial").exists()


def test_a_broken_connection_leaves_no_data_set_and_is_resumed(server: Server, tmp_path: Path) -> None:
    root = tmp_path / "set"
    server.cut = 40
    with pytest.raises(DataError, match=f"{server.url} could not be fetched: .*The next attempt resumes it"):
        fetch(tiny(server), root, is_complete)
    assert not root.exists()
    server.cut = None
    fetch(tiny(server), root, is_complete)
    assert is_complete(root)
    assert server.asked == [None, "bytes=40-"]


def test_a_server_that_cant_resume_starts_again(server: Server, tmp_path: Path) -> None:
    server.ranges = False
    (tmp_path / "set.tgz.part").write_bytes(ARCHIVE[:20])
    assert get(server.url, MD5, tmp_path).read_bytes() == ARCHIVE


def test_a_file_that_was_complete_is_only_checked(server: Server, tmp_path: Path) -> None:
    (tmp_path / "set.tgz.part").write_bytes(ARCHIVE)
    assert get(server.url, MD5, tmp_path).read_bytes() == ARCHIVE


def test_a_wrong_checksum_is_refused_and_not_resumed(server: Server, tmp_path: Path) -> None:
    server.content = b"x" * len(ARCHIVE)
    root = tmp_path / "set"
    with pytest.raises(DataError, match=f"MD5 sum is not {MD5}"):
        fetch(tiny(server), root, is_complete)
    assert not root.exists()
    server.content = ARCHIVE
    fetch(tiny(server), root, is_complete)
    assert server.asked == [None, None]


def test_an_address_that_is_gone(server: Server, tmp_path: Path) -> None:
    server.shutdown()
    server.server_close()
    with pytest.raises(DataError, match="could not be fetched"):
        get(server.url, MD5, tmp_path)


def test_nothing_is_there_when_unpacking_fails(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def half(source: str, target: str) -> None:
        (Path(target) / "set" / "train").mkdir(parents=True)
        raise OSError("No space left on device")

    root = tmp_path / "set"
    with monkeypatch.context() as patch:
        patch.setattr(download, "extract_archive", half)
        with pytest.raises(OSError, match="No space left"):
            fetch(tiny(server), root, is_complete)
    assert not root.exists()
    fetch(tiny(server), root, is_complete)
    assert is_complete(root)
    assert len(server.asked) == 1, "the archive was fetched twice"


def test_files_of_the_user_are_not_overwritten(server: Server, tmp_path: Path) -> None:
    (tmp_path / "set" / "train").mkdir(parents=True)
    with pytest.raises(DataError, match=r"set/train is there, but the data set is not complete; move it away"):
        fetch(tiny(server), tmp_path / "set", is_complete)
    assert not server.asked
