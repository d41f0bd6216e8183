"""What git keeps: no lock file, no address of a package registry, no link into nothing."""

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HOST = re.compile(r"[a-z0-9-]+(?:\.[a-z0-9-]+)+")
FENCED_CODE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")

# SHA-256, the first 16 digits, of the hosts that serve packages: so that no file names one.
REGISTRY_HOSTS = {
    "4db460c55b85212e",
    "789e46d79514e280",
    "e680c440a2e92079",
    "c899567ee9068517",
    "00a7dc5a0cc38858",
    "a4aa2ac280bb8d1a",
    "d6d7019ca9fcbf07",
    "0dc11026ac75c015",
    "9495278a74715c7e",
}


def registry_hosts(text: str) -> set[str]:
    """The hosts in ``text`` that serve packages, or that lie below one that does."""
    names = {
        host.split(".", cut)[-1]
        for host in HOST.findall(text.lower())
        for cut in range(host.count("."))
    }
    return {
        name for name in names if hashlib.sha256(name.encode()).hexdigest()[:16] in REGISTRY_HOSTS
    }


def broken_links(document: Path) -> list[str]:
    targets = LINK.findall(FENCED_CODE.sub("", document.read_text()))
    return [
        target
        for target in targets
        if "://" not in target
        and not target.startswith("mailto:")
        and not (document.parent / target).exists()
    ]


def test_no_file_names_a_package_registry(tracked_files: list[Path]) -> None:
    found = {
        str(file): hosts
        for file in tracked_files
        if (hosts := registry_hosts(file.read_text(errors="ignore")))
    }

    assert found == {}


def test_a_package_registry_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    digest = hashlib.sha256(b"packages.example").hexdigest()[:16]
    monkeypatch.setitem(globals(), "REGISTRY_HOSTS", {digest})

    found = registry_hosts("wheels = https://cdn.packages.example/torch.whl, see example.org")

    assert found == {"packages.example"}


def test_no_lock_file_is_kept(tracked_files: list[Path]) -> None:
    names = [file.name for file in tracked_files]

    assert [name for name in names if re.fullmatch(r"uv\.lock|pylock.*\.toml", name)] == []


def test_no_document_links_to_a_missing_file(tracked_files: list[Path]) -> None:
    documents = [file for file in tracked_files if file.suffix == ".md"]

    assert {str(file): links for file in documents if (links := broken_links(file))} == {}


def test_a_link_to_a_missing_file_would_be_found(tmp_path: Path) -> None:
    document = tmp_path / "guide.md"
    document.write_text("[a](guide.md#part) [b](missing.md) [c](https://example.com/x)")

    assert broken_links(document) == ["missing.md"]


@pytest.mark.parametrize("version", [(3, 6, 15), (3, 10, 13)])
def test_an_older_python_is_told_so(version: tuple[int, int, int], root: Path) -> None:
    code = (
        f"import runpy, sys; sys.version_info = {version}; "
        f"runpy.run_path({os.fspath(root / 'noxfile.py')!r}, run_name='__main__')"
    )

    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )

    assert result.returncode == 1
    assert result.stderr.startswith(
        f"zoo needs Python 3.11 or newer, and this is {version[0]}.{version[1]}."
    )


def test_ci_passes_by_the_command_of_the_readme(root: Path) -> None:
    script = (root / ".ci" / "run").read_text()
    readme = (root / "README.md").read_text()

    assert script.splitlines()[-1] == "exec python3 noxfile.py"
    assert re.search(r"^python3 noxfile\.py *(#.*)?$", readme, re.MULTILINE)
