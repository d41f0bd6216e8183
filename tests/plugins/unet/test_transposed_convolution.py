"""The page on transposed convolution is true: its code runs, and its assertions hold."""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[3] / "docs" / "transposed-convolution.md"
CODE = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("number", [0, 1])
def test_the_code_of_the_page_holds(number: int) -> None:
    exec(compile(CODE[number], f"{PAGE.name}, block {number}", "exec"), {})


def test_no_code_of_the_page_is_left_out() -> None:
    assert len(CODE) == 2
    assert all("assert" in code for code in CODE)
