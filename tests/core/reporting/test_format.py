"""Numbers as people read them."""

import doctest
import math

import pytest

from zoo.reporting import (
    _format,
    format_count,
    format_duration,
    format_metric,
    format_metrics,
)


def test_the_examples_in_the_documentation_are_true():
    assert doctest.testmod(_format).failed == 0
    assert doctest.testmod(_format).attempted == 5


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("top1", 1.0, "100.00 %"),
        ("val/top5", 0.98333, "98.33 %"),
        ("topology", 0.5, "0.5000"),
        ("macro_f1", 0.9, "90.00 %"),
        ("ece", 0.125, "12.50 %"),
        ("val/miou_foreground", 0.5, "50.00 %"),
        ("val/within_10_deg_fraction", 0.5, "50.00 %"),
        ("val/mean_error_deg", 4.5, "4.5000"),
        ("val/loss", 2.5, "2.5000"),
        ("loss", math.nan, "nan"),
    ],
)
def test_fractions_are_percentages(name, value, text):
    assert format_metric(name, value) == text


def test_a_table_for_a_document():
    assert format_metrics({"loss": 0.0612, "top1": 0.9833}, style="markdown").splitlines() == [
        "| metric |   value |",
        "|--------|--------:|",
        "| loss   |  0.0612 |",
        "| top1   | 98.33 % |",
    ]


def test_no_metrics_make_no_lines():
    assert format_metrics({}) == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "0 s"),
        (59.6, "1 m 00 s"),
        (3599.7, "1 h 00 m"),
        (90_000, "25 h 00 m"),
        (math.inf, "?"),
    ],
)
def test_durations(seconds, text):
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"), [(999, "999"), (9_999, "9999"), (12_345, "12.3 k"), (2_500_000_000, "2.5 G")]
)
def test_counts(count, text):
    assert format_count(count) == text
