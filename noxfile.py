"""Every task of this repository, and the way to run it with nothing but Python, pip and git.

    python3 noxfile.py                             lint, types, imports, wheels, tests
    python3 noxfile.py -s zoo -- train resnet34    the command line, from this checkout
    python3 noxfile.py -t matrix                   before a release: alone, outside, floor, pythons
    python3 noxfile.py --list                      what each session asks

Run as a script, this file makes a small environment with nox and uv in ``.nox/boot`` and goes on
there; a ``nox`` of your own works as well, with uv beside it.  Nothing outside ``.nox`` and
``.venv`` is touched: no system package, no ``PATH``, no file of yours.
"""

import os
import sys

if sys.version_info < (3, 11):  # noqa: UP036 (this line is for those who have an older one)
    sys.exit(
        "zoo needs Python 3.11 or newer, and this is {}.{}.\n"
        "Run it with a newer one, for example: python3.11 noxfile.py".format(*sys.version_info)
    )

import hashlib
import shutil
import subprocess
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent
BOOT_TOOLS = ["nox>=2025.5.1", "uv>=0.8"]


def run_in_boot_environment() -> None:
    """Make ``.nox/boot`` where it is missing or stale, and become the nox in it."""
    boot = ROOT / ".nox" / "boot"
    python = boot / "bin" / "python"
    stamp = boot / "stamp"
    wanted = f"{sys.version}\n{ROOT}\n{BOOT_TOOLS}\n"
    if not stamp.exists() or stamp.read_text() != wanted or not python.exists():
        print("Making .nox/boot (nox and uv) ...", file=sys.stderr)
        # Without pip in it: a Debian Python has no ensurepip, and the pip out here can fill it.
        venv.create(boot, clear=True, symlinks=True)
        pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
        if subprocess.run([*pip, *BOOT_TOOLS], check=False).returncode != 0:
            sys.exit("pip could not install nox and uv; what it says above is the cause.")
        stamp.write_text(wanted)  # last: an interrupted run starts anew
    os.execv(python, [str(python), "-m", "nox", "--noxfile", __file__, *sys.argv[1:]])


if __name__ == "__main__":
    run_in_boot_environment()

import nox  # noqa: E402 (only now is it there)

nox.options.default_venv_backend = "uv"
nox.options.sessions = ["lint", "types", "imports", "wheels", "tests"]
nox.options.download_python = "never"  # a Python that is not here is skipped, by name
nox.options.error_on_missing_interpreters = False

UV = shutil.which("uv", path=Path(sys.executable).parent) or "uv"
ENVIRONMENT = ROOT / ".venv"
BIN = ENVIRONMENT / "bin"


def distributions(*patterns: str) -> dict[str, str]:
    """Folders with a ``pyproject.toml``, by the names of their distributions."""
    files = sorted(file for pattern in patterns for file in ROOT.glob(f"{pattern}/pyproject.toml"))
    return {
        tomllib.loads(file.read_text())["project"]["name"]: str(file.parent.relative_to(ROOT))
        for file in files
    }


MEMBERS = distributions("core", "plugins/*", "packages/*")
EXAMPLES = distributions("packages/examples/*")
TESTS = {name: f"tests/{folder.removeprefix('packages/zoo-')}" for name, folder in MEMBERS.items()}
FROM_SOURCE = [word for folder in MEMBERS.values() for word in ("--editable", folder)]

WHEELS = ROOT / ".nox" / "dist"
# Our wheels stand wherever something requires them by name.
FROM_WHEELS = ("--no-sources", "--constraint", str(WHEELS / "ours.txt"))

IMPORT_EVERY_MODULE = """
import importlib, pkgutil, sys
for package in map(importlib.import_module, sys.argv[1:]):
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if not module.name.endswith((".__main__", ".table")):  # which are programs
            importlib.import_module(module.name)
"""


@nox.session(python=False)
def dev(session: nox.Session) -> None:
    """Build .venv: every member, editable, and the dev group; a moment where nothing changed."""
    digest = hashlib.sha256(f"{sys.version}\n{ROOT}\n".encode())
    for folder in (".", *MEMBERS.values()):
        digest.update((ROOT / folder / "pyproject.toml").read_bytes())
    stamp = ENVIRONMENT / "zoo-stamp"
    found = stamp.read_text() if stamp.exists() else None
    if found == digest.hexdigest():
        return

    # An empty stamp is what an interrupted build leaves.  Otherwise the environment stays as it
    # is, with what its owner has installed by hand, and gets what it lacks.
    keep = "--clear" if found == "" else "--allow-existing"
    session.run(UV, "venv", "--quiet", keep, "--python", sys.executable, str(ENVIRONMENT))
    stamp.write_text("")
    session.run(
        UV, "pip", "install", "--python", str(BIN / "python"), *FROM_SOURCE, "--group", "dev"
    )
    stamp.write_text(digest.hexdigest())


@nox.session(python=False, requires=["dev"])
def zoo(session: nox.Session) -> None:
    """Become zoo's command line; what follows ``--`` goes to it."""
    # Not a child of nox: its exit code, its signals and its standard output are zoo's own.
    os.chdir(session.invoked_from)
    os.execv(BIN / "zoo", ["zoo", *session.posargs])


@nox.session(python=False, requires=["dev"])
def lint(session: nox.Session) -> None:
    """Format and rules (ruff)."""
    session.run(BIN / "ruff", "format", "--check", ".")
    session.run(BIN / "ruff", "check", ".")


@nox.session(python=False, requires=["dev"])
def types(session: nox.Session) -> None:
    """Types, strict (mypy)."""
    session.run(BIN / "mypy")


@nox.session(python=False, requires=["dev"])
def imports(session: nox.Session) -> None:
    """The walls between the rooms (import-linter)."""
    session.run(BIN / "lint-imports", "--no-logo")


@nox.session(python=False, requires=["dev"])
def tests(session: nox.Session) -> None:
    """The whole suite; what follows ``--`` goes to pytest."""
    run_suite(session, BIN / "python")


@nox.session(python=False)
def build(session: nox.Session) -> None:
    """Build the wheels of the members and the examples, for the sessions that install them."""
    shutil.rmtree(WHEELS, ignore_errors=True)
    for folder in (MEMBERS | EXAMPLES).values():
        session.run(UV, "build", "--quiet", "--wheel", "--out-dir", str(WHEELS), folder)
    places = [
        f"{wheel.name.partition('-')[0]} @ {wheel.as_uri()}" for wheel in WHEELS.glob("*.whl")
    ]
    (WHEELS / "ours.txt").write_text("\n".join(places))


@nox.session(requires=["build"])
def wheels(session: nox.Session) -> None:
    """Do the wheels alone hold and require all that is needed, away from the sources?"""
    session.install(*FROM_WHEELS, *MEMBERS)
    session.chdir(session.create_tmp())
    packages = [path.name for folder in MEMBERS.values() for path in ROOT.glob(f"{folder}/src/*")]
    session.run("python", "-c", IMPORT_EVERY_MODULE, *packages, silent=True)
    session.run("zoo", "train", "resnet20", "--max-steps", "5", "--output", "run")


@nox.session(requires=["build"], tags=["matrix"])
@nox.parametrize("member", [name for name in MEMBERS if (ROOT / TESTS[name]).is_dir()])
def alone(session: nox.Session, member: str) -> None:
    """Do a member's tests pass from its wheel, with nothing that it does not require?"""
    session.install(*FROM_WHEELS, "--group", "test", "zoo-testkit", member)
    run_suite(session, "python", TESTS[member])


@nox.session(requires=["build"], tags=["matrix"])
@nox.parametrize("example", list(EXAMPLES))
def outside(session: nox.Session, example: str) -> None:
    """Do a stranger's tests pass from its wheel, beside core and the test kit?"""
    session.install(*FROM_WHEELS, "zoo-testkit", example)
    session.run("python", "-m", "pytest", f"{EXAMPLES[example]}/tests")


@nox.session(tags=["matrix"])
def floor(session: nox.Session) -> None:
    """Does everything pass with the lowest versions that our ranges allow?"""
    session.install("--resolution", "lowest-direct", *FROM_SOURCE, "--group", "dev")
    run_suite(session, "python")


@nox.session(python=["3.11", "3.12", "3.13", "3.14", "3.15"], requires=["build"], tags=["matrix"])
def pythons(session: nox.Session) -> None:
    """Does everything pass on each Python, from wheels, with the newest versions?"""
    session.install(*FROM_WHEELS, "--group", "dev", *MEMBERS)
    run_suite(session, "python")


def run_suite(session: nox.Session, python: str | Path, *tests: str) -> None:
    """Run pytest with a worker for each core; tests/conftest.py gives each one thread."""
    workers = ("-n", "auto", "--maxprocesses", "8", "--dist", "worksteal")
    session.run(python, "-m", "pytest", *tests, *workers, "--durations", "10", *session.posargs)
