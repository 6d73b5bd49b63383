"""benchmarks/README.md shows its results as they are, and every plot in it is there."""

import re

from benchmarks.readme import README, filled


def test_the_readme_shows_the_results_as_they_are() -> None:
    text = README.read_text()
    assert filled(text) == text, "run: python -m benchmarks.readme"


def test_every_plot_of_the_readme_is_there() -> None:
    for file in re.findall(r"!\[[^]]*\]\(([^)]+)\)", README.read_text()):
        assert (README.parent / file).is_file(), file
