"""Code blocks of the documentation."""

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_BLOCK = re.compile(r'^```(\w*)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)


def titled(page: str) -> dict[str, str]:
    """The blocks of a how-to that are files, by their names."""
    return {title: text for _, title, text in _BLOCK.findall((ROOT / f"docs/howto/{page}.md").read_text()) if title}


def write_files(page: str, folder: Path) -> None:
    """Write the files of a how-to, as somebody does who follows it."""
    for title, text in titled(page).items():
        path = folder / title
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def commands(page: Path) -> list[list[str]]:
    """The command lines of a page's bash blocks that are ours, as words of ``mrcert``."""
    found = []
    for language, _, text in _BLOCK.findall(page.read_text()):
        for line in text.replace("\\\n", " ").splitlines() if language == "bash" else ():
            words = shlex.split(line, comments=True)
            if words[:1] == ["srun"]:
                words = words[1:]
            if words[:1] == ["python"] and words[1:2] in (["train.py"], ["eval.py"]):
                found.append([words[1].removesuffix(".py"), *words[2:]])
            elif words[:1] == ["mrcert"]:
                found.append(words[1:])
    return found
