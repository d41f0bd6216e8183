"""What list, info and plugins print."""

import json

import pytest

from zoo.cli._output import as_json, print_table, printable

PLUGIN = """
@hookimpl
def zoo_models():
    return [
        ModelCard(name="tinynet", task="classification", summary="red \\x1b[31m\\u202e",
                  factory="m:f", num_params=1234, gmacs=0.5, options={"depth": (1, 2)}),
        ModelCard(name="othernet", task="counting", summary="s", factory="m:f",
                  num_params=1, gmacs=float("nan")),
    ]
"""


def test_a_table_of_models(site):
    site.install("tiny", PLUGIN)

    done = site.zoo("list", "models", "net", ZOO_PLUGINS="tiny")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "name      task            num params  gmacs  summary\n"
        "othernet  counting                 1  nan    s\n"
        "tinynet   classification      1.23 k  0.5    red [31m\n"
    )


def test_json_is_one_document_with_all_facts_and_the_owner(site):
    site.install("tiny", PLUGIN)

    done = site.zoo("list", "--task", "classification", "--json", ZOO_PLUGINS="tiny")

    (record,) = json.loads(done.stdout)
    assert record["name"] == "tinynet"
    assert record["full_name"] == "tiny:tinynet"
    assert (record["plugin"], record["distribution"], record["version"]) == ("tiny", "tiny", "0.1")
    assert record["options"] == {"depth": [1, 2]}
    assert record["input"]["size_px"] == 224


def test_json_has_null_where_a_number_is_none(site):
    site.install("tiny", PLUGIN)

    done = site.zoo("info", "othernet", "--json", ZOO_PLUGINS="tiny")

    assert json.loads(done.stdout)["gmacs"] is None


def test_info_says_what_is_known(site):
    site.install("tiny", PLUGIN)

    done = site.zoo("info", "tinynet", ZOO_PLUGINS="tiny")

    assert (done.returncode, done.stderr) == (0, "")
    assert "1,234 (1.23 k)" in done.stdout
    assert "tiny:tinynet, tiny 0.1" in done.stdout
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize("kind", ["models", "datasets", "recipes", "metrics", "tasks", "callbacks"])
def test_every_kind_lists_as_a_table_and_as_json(zoo, kind):
    table, document = zoo("list", kind), zoo("list", kind, "--json")

    names = {record["name"] for record in json.loads(document.out)}
    assert (table.code, document.code, document.err) == (0, 0, "")
    assert {line.split()[0] for line in table.out.splitlines()[1:]} == names


def test_a_first_word_that_is_no_kind_is_a_pattern_for_models(zoo):
    outcome = zoo("list", "*34*")

    assert outcome == (0, "", "There is no such model.\n")


def test_an_empty_list_has_a_near_name_on_stderr(zoo):
    outcome = zoo("list", "datasets", "digit5")

    assert outcome == (0, "", "There is no such dataset. Did you mean digits?\n")


def test_an_empty_list_is_an_empty_document(zoo):
    assert zoo("list", "datasets", "nothing", "--json") == (0, "[]\n", "")


def test_numbers_stand_to_the_right(capsys):
    print_table(("name", "count"), [("a", "1"), ("bc", "1.5 k")])

    assert capsys.readouterr().out == "name  count\na         1\nbc    1.5 k\n"


def test_a_line_break_does_not_break_a_table(capsys):
    print_table(("name",), [("a\nb",)])

    assert capsys.readouterr().out == "name\na b\n"


@pytest.mark.parametrize("text", ["\x00", "\x1b[31m", "\x7f", "\x9b", "\u202e", "\u200b", "\r"])
def test_control_characters_are_not_printed(text):
    assert printable(f"a{text}b\nc") == f"a{text[1:]}b\nc"


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (float("nan"), None),
        (float("inf"), None),
        ((1, 2.5), [1, 2.5]),
        ({"a": {1}}, {"a": [1]}),
        (True, True),
        (None, None),
        (1j, "1j"),
    ],
)
def test_any_value_becomes_json(value, plain):
    assert as_json(value) == plain
