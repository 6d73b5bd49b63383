"""The defaults of the architectures: plain data that the configuration accepts, under every flag."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from training.architectures.defaults import Defaults, defaults_of
from training.architectures.registry import ARCHITECTURES
from training.config import TrainConfig, load_config, make_config

WITH_DEFAULTS = [name for name in ARCHITECTURES if defaults_of(name) != Defaults()]


def _variants(found: Defaults) -> Iterator[dict[str, Any]]:
    """The settings, and each value of the search over them."""
    yield found.settings
    yield found.for_start(transferred=True)
    yield from ({name: value} for name, values in found.space.items() for value in values)
    yield from ({"model": {name: value}} for name, values in found.options.items() for value in values)


@pytest.mark.parametrize("name", WITH_DEFAULTS)
def test_every_default_and_every_value_of_a_search_is_a_setting(name: str) -> None:
    own = {"task": ARCHITECTURES[name].task, "data": "none", "arch": name}
    for variant in _variants(defaults_of(name)):
        make_config({**own, **variant})


def test_defaults_are_read_without_pytorch() -> None:
    code = (
        "import sys\nfrom training.architectures.defaults import defaults_of\n"
        "assert defaults_of('bag').settings and 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def _text(*flags: str) -> TrainConfig:
    return load_config("text", ("--data", "mine.csv", "--arch", "bag", *flags))


def test_a_flag_rules_over_a_default_and_switches_its_rule_off() -> None:
    assert _text().least_steps > 0
    given = _text("--learning-rate", "0.5", "--epochs", "2", "--batch-size", "3")
    assert (given.learning_rate, given.epochs, given.batch_size) == (0.5, 2, 3)
    assert (given.least_steps, given.least_batches) == (0, 0)


def test_an_option_that_is_given_leaves_the_other_defaults() -> None:
    assert _text("--model", '{"ngrams": 3}').model == {**_text().model, "ngrams": 3}


def test_a_data_set_with_a_recipe_has_its_recipe_alone() -> None:
    recipe = load_config("text", ("--data", "imdb", "--arch", "bag"))
    assert (recipe.least_steps, recipe.min_count, recipe.keep, recipe.learning_rate) == (0, 2, "best", 0.02)


def test_settings_that_were_given_are_known() -> None:
    assert _text("--model", '{"ngrams": 3}', "--epochs", "2").given >= {"epochs", "model.ngrams"}
    assert "learning_rate" not in _text().given


def test_defaults_of_a_start_from_another_model_are_over_the_others() -> None:
    found = Defaults({"epochs": 3, "keep": "last"}, {"epochs": 5})
    assert found.for_start(transferred=True) == {"epochs": 5, "keep": "last"}
    assert found.for_start(transferred=False) == {"epochs": 3, "keep": "last"}
