"""What the documents say is true: commands parse, code compiles, links lead somewhere."""

import importlib.util
import re
import shlex
from pathlib import Path
from types import ModuleType

import click
import pytest

from zoo.cli._group import zoo
from zoo.cli._main import run
from zoo.cli._verbs import VERBS

ROOT = Path(__file__).parents[2]
DOCUMENTS = {
    str(file.relative_to(ROOT)): file.read_text()
    for pattern in ("README.md", "CONTRIBUTING.md", "docs/**/*.md", "plugins/*/README.md")
    for file in sorted(ROOT.glob(pattern))
}
NOXFILE = (ROOT / "noxfile.py").read_text()
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r'^```\w+ title="([^"]+)"\n(.*?)^```$', re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^(?:\w+=\S+ )*(?:until )?(?:python3 noxfile\.py -s zoo -- |zoo )(.*)$")
INLINE = re.compile(r"`zoo ([^`\n]+)`")
LINK = re.compile(r"\]\(([^)\s]*)#([^)\s]+)\)")
PLACEHOLDER = re.compile(r"\b[A-Z]{3,}\b|\.\.\.")


def shell_lines(text: str) -> list[str]:
    """The lines of code blocks that name no language, which are for a shell."""
    blocks = [code for language, code in FENCE.findall(text) if not language]
    return [line for code in blocks for line in code.splitlines()]


def commands(text: str) -> list[str]:
    """What follows ``zoo`` in code blocks and in running text."""
    found = [COMMAND.match(line) for line in shell_lines(text)]
    inline = INLINE.findall(FENCE.sub("", text))
    words = [match[1].partition(";")[0] for match in found if match] + inline
    split = [shlex.split(line, comments=True) for line in words]
    return [shlex.join(line) for line in split if not {"--", "--help"} & set(line)]


ALL_COMMANDS = sorted({command for text in DOCUMENTS.values() for command in commands(text)})
TRAINING = [
    command
    for command in ALL_COMMANDS
    if command.startswith("train ")
    and "--resume" not in command
    and not PLACEHOLDER.search(command)
    and not re.search("tinynet|angle", command)  # which other tests install first
]
PYTHON = [
    pytest.param(code, id=f"{document}-{number}")
    for document, text in DOCUMENTS.items()
    for number, (language, code) in enumerate(FENCE.findall(text))
    if language == "python"
]


def parse(words: list[str]) -> None:
    """As the command line does, verb by verb, without running anything."""
    group: click.Command = zoo
    context = None
    while isinstance(group, click.Group):
        context = group.make_context(group.name, words, parent=context)
        name, command, words = group.resolve_command(
            context, [*context._protected_args, *context.args]
        )
        assert command is not None, f"no command {name}"
        group = command
    group.make_context(group.name, words, parent=context)


@pytest.fixture(scope="module")
def tables() -> ModuleType:
    spec = importlib.util.spec_from_file_location("tables", ROOT / "docs" / "tables.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("verb", [command for command in ALL_COMMANDS if " " not in command])
def test_a_documented_verb_exists(verb: str) -> None:
    assert verb in VERBS


@pytest.mark.parametrize("command", [command for command in ALL_COMMANDS if " " in command])
def test_a_documented_command_parses(command: str) -> None:
    # A placeholder stands for a number as well as for a name; 1 is both.
    words = [PLACEHOLDER.sub("1", word) for word in shlex.split(command)]

    parse(words)


@pytest.mark.parametrize("command", TRAINING)
def test_a_documented_training_would_start(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    configuration = dict(FILE.findall(DOCUMENTS["docs/configuration.md"]))
    (tmp_path / "run.toml").write_text(configuration["run.toml"])
    monkeypatch.chdir(tmp_path)
    anywhere = re.sub(r"--(gpus|device) \S+", "", command)

    code = run([*shlex.split(anywhere), "--dry-run"])

    assert code == 0, capsys.readouterr().err


def test_commands_are_found() -> None:
    text = "```\n$ ls\nzoo list  # all\nA=1 zoo train resnet20\n```\nSay `zoo info x`."

    assert commands(text) == ["list", "train resnet20", "info x"]


@pytest.mark.parametrize(
    "words", [["trian"], ["train", "resnet20", "--epoch"], ["list", "--tasks"]]
)
def test_a_command_that_is_wrong_would_be_found(words: list[str]) -> None:
    with pytest.raises(Exception, match=r"unknown command|No such option|requires an argument"):
        parse(words)


@pytest.mark.parametrize("code", PYTHON)
def test_python_in_a_document_compiles(code: str) -> None:
    compile(code, "document", "exec")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_tables_of_a_document_are_those_of_the_code(document: str, tables: ModuleType) -> None:
    text = DOCUMENTS[document]

    assert tables.with_tables(text) == text, "run: python docs/tables.py"


def anchors(text: str) -> set[str]:
    """The anchors of the headings, as they are made where documents are read."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.MULTILINE)
    return {
        re.sub(r"[^\w -]", "", heading.lower()).strip().replace(" ", "-") for heading in headings
    }


@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_link_into_a_document_leads_to_a_heading(document: str) -> None:
    links = LINK.findall(FENCE.sub("", DOCUMENTS[document]))
    inside = [(target, anchor) for target, anchor in links if "://" not in target]

    lost = [
        anchor
        for target, anchor in inside
        if anchor not in anchors(((ROOT / document).parent / target).read_text())
    ]

    assert lost == []


def test_every_page_is_reached_from_the_index() -> None:
    index = (ROOT / "docs" / "index.md").read_text()
    pages = [str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")]

    assert [page for page in pages if page != "index.md" and f"({page})" not in index] == []


def test_contributing_says_what_every_session_asks() -> None:
    sessions = re.findall(r"^@nox\.session.*\n(?:@.*\n)*def (\w+)", NOXFILE, re.MULTILINE)
    told = re.findall(r"^\| `(\w+)` \| .*\? \|", DOCUMENTS["CONTRIBUTING.md"], re.MULTILINE)

    assert set(sessions) - {"dev", "build", "zoo"} == set(told)
