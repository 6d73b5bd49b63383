"""The one configuration of a training run: typed fields, from flags over a TOML file over the shipped recipe.

Each setting is documented where it stands. Nothing is read from the environment. A wrong configuration is
refused before any work, all faults at once, and the one used is stored with the run.
"""

import codecs
import re
import tomllib
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import (
    BaseSettings,
    CliSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from training.architectures.defaults import defaults_of
from training.architectures.registry import ARCHITECTURES, architectures_for, embedded_pair, task_names
from training.errors import ConfigError, did_you_mean
from training.flags import check_flags
from training.lineage import kind_of

RUN_SPECIFIC = frozenset(
    {"run", "models", "name", "config", "resume", "version", "threads", "progress"}
    | {"log_every_steps", "checkpoint_every_s", "quantize", "quantize_budget", "slice", "robustness"}
    | {"find_rate", "debug", "foreign", "baseline", "force"}
)
"""Settings that do not change the weights: a run may be resumed with other values of these."""


@dataclass(frozen=True)
class Only:
    """The tasks that have a setting, and the architectures where not all do; stands in the annotation of the setting.

    Other tasks do not list it in their help and ignore it; where `refusal` gives a reason, they refuse it.
    """

    tasks: tuple[str, ...]
    architectures: tuple[str, ...] = ()
    refusal: str = ""

    def __str__(self) -> str:
        """As it stands before the description: `vision and text`; `recommendation, mf and neumf`."""
        tasks = " and ".join(self.tasks)
        return f"{tasks}, {' and '.join(self.architectures)}" if self.architectures else tasks


CLASSIFICATION = Only(("vision", "text"))
VISION, TEXT, RECOMMENDATION = Only(("vision",)), Only(("text",)), Only(("recommendation",))


LONGEST_NAME = 128
"""Characters of a bundle's name, as `inference.manifest` takes them."""

NAME = rf"^([A-Za-z0-9][A-Za-z0-9._-]{{0,{LONGEST_NAME - 1}}})?$"

COMPRESSED = frozenset({".gz", ".xz", ".bz2", ".zst"})


class TrainConfig(BaseSettings):
    """Data, architecture, how it is trained, and where the result goes."""

    model_config = SettingsConfigDict(
        extra="forbid", cli_kebab_case=True, cli_implicit_flags=True, cli_prog_name="baton train TASK"
    )

    # Inputs and outputs
    task: str = Field(description="which kind of model; the word after `baton train`")
    data: str = Field(
        description="a named public set, or the path of your own data; an embedded set if not given"
    )
    arch: str = Field(description="the architecture; `baton train --help` lists them and says which is taken")
    name: str = Field(
        default="",
        pattern=NAME,
        description="the bundle's name; made of the data's if empty: `My Reviews.csv` gives my-reviews",
    )
    models: Path = Field(default=Path("models"), description="where bundles are published")
    version: NonNegativeInt = Field(default=0, description="the bundle's version; 0: the next free one")
    run: Path | None = Field(
        default=None, description="directory of the run; runs/NAME-ARCH-SEED if not given"
    )
    config: Path | None = Field(default=None, description="a TOML file with these same settings")
    resume: bool = Field(default=True, description="resume an unfinished run of the same configuration")
    strict: bool = Field(default=False, description="stop at bad data instead of skipping and reporting them")

    # The data
    seed: NonNegativeInt = Field(default=0, description="of the weights, the order and every random draw")
    validation: float = Field(
        default=0.1, gt=0, lt=0.5, description="share of train held out to choose the best epoch (stratified)"
    )
    image_size: Annotated[tuple[int, int, int], VISION] = Field(
        default=(64, 64, 3),
        description="height, width and channels that a folder's images are brought to",
    )
    image_fit: Annotated[Literal["crop", "stretch"], VISION] = Field(
        default="crop", description="keep the aspect and cut the rest off, or distort"
    )
    background: Annotated[int, VISION] = Field(
        default=255, ge=0, le=255, description="grey level behind transparent pixels"
    )
    max_pixels: Annotated[PositiveInt, VISION] = Field(
        default=50_000_000, description="largest image that is decoded, in training and in serving"
    )
    text_column: Annotated[str, TEXT] = Field(
        default="", description="the column of a table that holds the text; found by its usual names if empty"
    )
    image_column: Annotated[str, VISION] = Field(
        default="",
        description="the column of a table that holds the images or their files' names; found by its content if empty",
    )
    label_column: Annotated[str, CLASSIFICATION] = Field(
        default="", description="the column that holds the label; found by its usual names if empty"
    )
    encoding: str = Field(
        default="",
        description="of a table, such as cp1252; if empty UTF-8, or UTF-16 where the first bytes say so",
    )
    separator: str = Field(
        default="",
        pattern=r"^(.|comma|semicolon|tab|bar)?$",
        description="between the cells of a table; the one of comma, semicolon, tab and bar that fits, if empty",
    )
    tokenizer: Annotated[Literal["auto", "words", "pieces"], TEXT] = Field(
        default="auto",
        description="an id for each word, or for the pieces that words are spelled from; auto: pieces where blanks and "
        "marks do not separate the words of train",
    )
    vocabulary: Annotated[int, TEXT] = Field(
        default=30_000, ge=3, description="most ids, the frequent words first"
    )
    min_count: Annotated[PositiveInt, TEXT] = Field(
        default=2, description="a word (or pair of pieces) that train holds less often has no id of its own"
    )
    max_length: Annotated[PositiveInt, TEXT] = Field(
        default=512, description="tokens that are read of a text"
    )
    max_characters: Annotated[PositiveInt, TEXT] = Field(
        default=100_000, description="a longer one is refused, in training and in serving"
    )
    user_column: Annotated[str, RECOMMENDATION] = Field(
        default="", description="column of your file; found by its usual names if empty"
    )
    item_column: Annotated[str, RECOMMENDATION] = Field(
        default="", description="column of your file; found by its usual names if empty"
    )
    time_column: Annotated[str, RECOMMENDATION] = Field(
        default="",
        description="column of your file, a number or a date; found by its usual names if empty, and without one rows "
        "are in order",
    )
    title_column: Annotated[str, RECOMMENDATION] = Field(
        default="", description="column with the items' titles; found by its usual names if empty"
    )
    repeated: Annotated[Literal["auto", "keep", "drop"], RECOMMENDATION] = Field(
        default="auto",
        description="rows of your file in which a user takes an item again: keep them, as in a shop, or drop them, "
        "as of ratings; auto: keep them where they are more than a twentieth",
    )
    repeats: Annotated[bool, RECOMMENDATION] = Field(default=False, description="the same as --repeated keep")
    history: Annotated[int, RECOMMENDATION] = Field(
        default=100, ge=2, description="most recent items that a model sees"
    )
    default_k: Annotated[PositiveInt, RECOMMENDATION] = Field(
        default=10, description="items in an answer, unless asked"
    )
    max_k: Annotated[PositiveInt, RECOMMENDATION] = Field(
        default=100, description="items in an answer at most"
    )
    negatives: Annotated[PositiveInt, Only(("recommendation",), ("mf", "neumf"))] = Field(
        default=4, description="items drawn for each one that the user has"
    )

    # The model
    model: dict[str, Any] = Field(
        default_factory=dict, description="the architecture's own options by name, as JSON"
    )

    init_from: str = Field(
        default="",
        description="a bundle or a run to start from, with a new head. Its architecture and --model are taken, unless "
        "told. Vision: a checkpoint too; text: its tokenizer is taken over; neumf: a run of mf, same split",
    )
    freeze_epochs: NonNegativeInt = Field(
        default=1, description="with init_from: epochs in which only the new head learns"
    )
    unfrozen_rate: float = Field(
        default=0.1, gt=0, le=1, description="with init_from: share of the rate for all but the head, after"
    )

    # Optimisation
    epochs: PositiveInt = Field(default=20, description="passes over the training data")
    least_steps: NonNegativeInt = Field(
        default=0,
        description="epochs are added until there are so many steps; 0: none, and where --epochs is given",
    )
    batch_size: PositiveInt = Field(default=128, description="examples a step, in each process")
    least_batches: NonNegativeInt = Field(
        default=0,
        description="batch_size is halved until an epoch has so many steps; 0: never, and where --batch-size is given",
    )
    optimizer: Literal["sgd", "adam", "adamw"] = Field(
        default="adamw",
        description="sgd with Nesterov momentum; adam decays through the gradient, adamw apart",
    )
    learning_rate: PositiveFloat = Field(default=1e-3, description="peak of the schedule")
    find_rate: bool = Field(
        default=False, description="instead of training: try rising rates and suggest a learning_rate"
    )
    search: NonNegativeInt = Field(
        default=0,
        description="settings to try on validation, the defaults first; the best are used. Flags are never varied",
    )
    search_minutes: NonNegativeFloat = Field(
        default=0.0, description="with search: no new trial begins when so many are spent; 0: any"
    )
    momentum: float = Field(default=0.9, ge=0, lt=1, description="of sgd; the first beta of adam and adamw")
    weight_decay: NonNegativeFloat = Field(
        default=0.01, description="on matrices and filters only; norms, biases and positions go free"
    )
    schedule: Literal["constant", "cosine", "one-cycle"] = Field(
        default="cosine", description="after the warm-up: stay, fall as a cosine to 0, or Smith's one cycle"
    )
    warmup: float = Field(default=0.05, ge=0, lt=1, description="share of all steps in which the rate rises")
    gradient_clip: NonNegativeFloat = Field(default=0.0, description="largest norm of the gradient; 0: any")
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"] = Field(
        default="auto",
        description="auto: bf16 where hardware multiplies it and the architecture gains by it, else 32 bits",
    )

    # Regularisation
    label_smoothing: float = Field(default=0.0, ge=0, lt=1, description="share of the target spread evenly")
    class_weights: Literal["none", "balanced"] = Field(
        default="none", description="balanced: each class weighs the same in the loss, however rare"
    )
    coverage_by: Annotated[Literal["all", "class"], CLASSIFICATION] = Field(
        default="all",
        description="whom prediction sets promise their coverage: all rows together, or the rows of each class",
    )
    ema: float = Field(default=0.0, ge=0, lt=1, description="decay a step of the averaged weights; 0: none")
    keep: Literal["best", "last"] = Field(
        default="best",
        description="whose weights are published: those of the best epoch on validation, or of the last, "
        "where validation is too small to tell epochs apart",
    )
    patience: NonNegativeInt = Field(default=0, description="epochs without a better one to stop; 0: never")
    word_dropout: Annotated[float, TEXT] = Field(
        default=0.0, ge=0, lt=1, description="share of the words that are hidden"
    )
    crop: Annotated[NonNegativeInt, VISION] = Field(
        default=0, description="pad by so many pixels, crop at random"
    )
    flip: Annotated[bool, VISION] = Field(default=False, description="mirror half of the images")
    erase: Annotated[float, VISION] = Field(
        default=0.0, ge=0, le=1, description="probability of a noisy rectangle"
    )
    mirror: Annotated[bool, VISION] = Field(
        default=False,
        description="answer with the mean over the image and its mirror image; runs take twice as long",
    )
    mixup: Annotated[NonNegativeFloat, VISION] = Field(
        default=0.0, description="alpha of blending two images; 0: off"
    )
    cutmix: Annotated[NonNegativeFloat, VISION] = Field(
        default=0.0, description="alpha of pasting from another; 0: off"
    )

    # The evaluation
    slice: Annotated[list[str], VISION] = Field(
        default_factory=list,
        description="columns whose values are scored apart: label, brightness, contrast",
    )
    foreign: Annotated[list[str], Only(("vision", "text"))] = Field(
        default_factory=list,
        description="data sets, or folders and tables of your own, of another kind: what the outlier score is "
        "measured by beside rows made by rule",
    )
    robustness: bool = Field(
        default=True,
        description="score 2,000 test rows with noise, blur, rotation and FGSM, or typing errors",
    )

    baseline: bool = Field(
        default=True,
        description="train a baseline beside the model and compare them on test: TF-IDF with a linear SVM for texts, "
        "colours and coarse pixels with a linear or a nearest-neighbour classifier for images",
    )
    force: bool = Field(
        default=False, description="publish a model, too, that is significantly below its baseline"
    )

    # Compression
    quantize: Literal["auto", "off"] = Field(
        default="auto", description="auto: an int8 graph too, where it stays inside the budget"
    )
    quantize_budget: NonNegativeFloat = Field(
        default=0.5, description="points of the validation metric that int8 may lose"
    )

    teacher: Annotated[str, Only(("vision", "text"), refusal="a teacher's answer is a class")] = Field(
        default="",
        description="a bundle whose answers are learned too; text takes its tokenizer over",
    )
    distill_weight: float = Field(
        default=0.5, gt=0, le=1, description="with teacher: share of the loss that its answers have"
    )
    distill_temperature: PositiveFloat = Field(
        default=2.0, description="with teacher: softens both answers; 1: as they are"
    )
    prune: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="share of the weights that become zero, in a shorter fit after the fit; 0: none",
    )
    prune_epochs: PositiveInt = Field(
        default=5, description="with prune: epochs of that fit; the zeros come in its first half"
    )
    prune_budget: NonNegativeFloat = Field(
        default=0.5, description="with prune: points of the validation metric to lose, or it stays dense"
    )

    # The run
    checkpoint_every_s: NonNegativeFloat = Field(
        default=30.0, description="most that a kill can cost, in seconds"
    )
    log_every_steps: PositiveInt = Field(
        default=20, description="steps between two points of the training curve"
    )
    threads: NonNegativeInt = Field(default=0, description="CPU threads of PyTorch; 0: as PyTorch decides")
    devices: PositiveInt = Field(
        default=1, description="processes or accelerators on this machine; under torchrun, as it has started"
    )
    accelerator: Literal["auto", "cpu", "gpu"] = Field(
        default="auto", description="gpu that is missing: refused"
    )
    progress: bool = Field(default=True, description="show a progress bar, or in a log a line for each epoch")
    debug: bool = Field(default=False, description="show where in the code a mistake was met, too")

    _given: frozenset[str] = PrivateAttr(default=frozenset())

    @property
    def given(self) -> frozenset[str]:
        """Settings that flags or a file gave, `model.NAME` for the architecture's options: a search leaves them."""
        return self._given

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The arguments alone: an exported variable must not change a run."""
        return (init_settings,)

    @field_validator("task")
    @classmethod
    def _known_task(cls, task: str) -> str:
        if task not in task_names():
            raise ValueError(
                f"{task!r} is unknown; there are {', '.join(task_names())}{did_you_mean(task, task_names())}"
            )
        return task

    @field_validator("arch")
    @classmethod
    def _known_architecture(cls, arch: str, info: ValidationInfo) -> str:
        known = architectures_for(info.data.get("task", ""))
        if known and arch not in known:
            raise ValueError(
                f"{arch!r} is no architecture for {info.data['task']}; there are {', '.join(known)}"
                f"{did_you_mean(arch, known)}"
            )
        return arch

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, encoding: str) -> str:
        try:
            return codecs.lookup(encoding).name if encoding else ""
        except LookupError as error:
            raise ValueError(f"{encoding!r} is no encoding that Python knows, such as cp1252") from error

    @field_validator("model")
    @classmethod
    def _known_options(cls, model: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        arch = info.data.get("arch")
        if arch in ARCHITECTURES and (faults := ARCHITECTURES[arch].faults_of(model)):
            raise ValueError("; ".join(faults))
        return model

    @field_validator("schedule")
    @classmethod
    def _can_freeze(cls, schedule: str, info: ValidationInfo) -> str:
        if schedule == "one-cycle" and info.data.get("init_from") and info.data.get("freeze_epochs"):
            raise ValueError("one-cycle cannot freeze; choose cosine or constant, or freeze_epochs 0")
        return schedule

    @field_validator("init_from")
    @classmethod
    def _can_start_from_another(cls, init_from: str, info: ValidationInfo) -> str:
        architecture = ARCHITECTURES.get(info.data.get("arch", ""))
        if init_from and architecture is not None and architecture.no_start:
            raise ValueError(architecture.no_start)
        return init_from

    @field_validator("prune")
    @classmethod
    def _has_weights_to_prune(cls, prune: float, info: ValidationInfo) -> float:
        architecture = ARCHITECTURES.get(info.data.get("arch", ""))
        if prune and architecture is not None and architecture.no_pruning:
            raise ValueError(architecture.no_pruning)
        return prune

    @field_validator("*")
    @classmethod
    def _is_of_the_task(cls, value: Any, info: ValidationInfo) -> Any:
        """A setting of other tasks is ignored, unless its `Only` says why it is refused."""
        only, task = only_of(info.field_name or ""), info.data.get("task")
        if only is None or not only.refusal or task is None or task in only.tasks:
            return value
        if value != default_of(info.field_name or ""):
            raise ValueError(f"{only} only: {only.refusal}")
        return value

    @property
    def bundle_name(self) -> str:
        return self.name or slug(self.data)

    @property
    def run_directory(self) -> Path:
        return self.run or Path("runs") / f"{self.bundle_name}-{self.arch}-{self.seed}"

    def learned_from(self) -> dict[str, Any]:
        """The settings that decide the weights, as JSON values: a run is resumed only with the same ones."""
        return self.model_dump(mode="json", exclude=set(RUN_SPECIFIC))


def load_config(task: str, argv: Sequence[str] = ()) -> TrainConfig:
    """Merge flags over `--config` over the recipe shipped for the data and the architecture.

    A model that starts from another is built like it: the architecture and its options are that one's, unless told.
    """
    check_flags(
        argv,
        {
            name.replace("_", "-"): field.annotation is bool
            for name, field in TrainConfig.model_fields.items()
        },
    )
    try:
        arguments = ["--task", task, *argv]
        flags = CliSettingsSource[Any](TrainConfig, cli_parse_args=arguments, cli_exit_on_error=False)()
    except SettingsError as error:
        raise ConfigError(f"the flags cannot be read: {error}; lists and objects are JSON") from error
    chosen = {**_read_toml(Path(flags["config"])), **flags} if flags.get("config") else dict(flags)
    data, arch = embedded_pair(task)
    taken = _taken_over(task, chosen)
    chosen = {"data": data, "arch": arch, **taken, **chosen}
    start = bool(chosen.get("init_from"))
    recipe = shipped_recipe(str(chosen["data"]), str(chosen["arch"]), transferred=start)
    config = make_config({**recipe, **_rules_off(chosen), **chosen, **_options_over(recipe, chosen, taken)})
    config._given = frozenset(chosen) | {f"model.{option}" for option in chosen.get("model", ())}
    return config


RULES = {"epochs": "least_steps", "batch_size": "least_batches"}
"""A setting, and the rule that changes it to the size of the data."""


def _rules_off(chosen: Mapping[str, Any]) -> dict[str, int]:
    """0 for the rules of settings that are given: a flag is never changed."""
    return {rule: 0 for setting, rule in RULES.items() if setting in chosen}


def _options_over(
    recipe: Mapping[str, Any], chosen: Mapping[str, Any], taken: Mapping[str, Any]
) -> dict[str, Any]:
    """The architecture's options that were given, over its defaults.

    They replace those of a data set's recipe, and those of another model are taken as they are.
    """
    given = chosen.get("model")
    measured = recipe_file(str(chosen["data"]), str(chosen["arch"])) is not None
    if not isinstance(given, Mapping) or taken or measured:
        return {}
    return {"model": {**recipe.get("model", {}), **given}}


def _taken_over(task: str, chosen: Mapping[str, Any]) -> dict[str, Any]:
    source = kind_of(Path(str(chosen["init_from"]))) if chosen.get("init_from") else None
    if source is None or source.task != task or chosen.get("arch", source.arch) != source.arch:
        return {}
    return {"arch": source.arch, "model": source.options}


def make_config(settings: Mapping[str, Any]) -> TrainConfig:
    """Check the settings; every fault is named with the value that came."""
    try:
        return TrainConfig(**settings)
    except ValidationError as error:
        raise ConfigError("the configuration is wrong:\n" + "\n".join(map(_fault, error.errors()))) from error


def only_of(setting: str) -> Only | None:
    """The tasks that have a setting; None: all of them."""
    return next((one for one in TrainConfig.model_fields[setting].metadata if isinstance(one, Only)), None)


def help_text(setting: str) -> str:
    """A setting's description, behind the tasks that have it."""
    described, only = TrainConfig.model_fields[setting].description or "", only_of(setting)
    return described if only is None else f"{only}: {described}"


def default_of(setting: str) -> Any:
    """A setting's default, as JSON has it."""
    default = TrainConfig.model_fields[setting].get_default(call_default_factory=True)
    return list(default) if isinstance(default, tuple) else default


def shipped_recipe(data: str, arch: str, *, transferred: bool = False) -> dict[str, Any]:
    """The settings under every flag: those that were measured for this set, or the architecture's defaults.

    transferred: the model starts from another one.
    """
    own = dict(ARCHITECTURES[arch].settings) if arch in ARCHITECTURES else {}
    file = recipe_file(data, arch)
    if file is not None:
        return {**own, **tomllib.loads(file.read_text())}
    return {**own, **defaults_of(arch).for_start(transferred=transferred)}


def recipe_file(data: str, arch: str) -> Traversable | None:
    """The recipe of a data set, if it has one."""
    shipped = {file.name: file for file in (resources.files("training") / "configs").iterdir()}
    return shipped.get(f"{Path(data).name}-{arch}.toml")


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"config: cannot read {path}: {error}") from error


def _fault(error: Any) -> str:
    """A line on one of pydantic's errors: the setting, the fault, the value that came, and the word that is like it."""
    where, kind, value = ".".join(str(part) for part in error["loc"]), error["type"], error["input"]
    if kind == "extra_forbidden":
        return f"  {where}: no such setting{did_you_mean(where, TrainConfig.model_fields)}"
    if kind == "string_pattern_mismatch" and where == "name":
        expected = f"at most {LONGEST_NAME} letters, digits, dots, dashes and underscores, the first no sign"
        return f"  name: got {value!r}, expected {expected}"
    came = "" if kind in ("missing", "value_error") else f" (it is {value!r})"
    like = ""
    if kind == "literal_error":
        like = did_you_mean(str(value), map(str, get_args(TrainConfig.model_fields[where].annotation)))
    return f"  {where}: {error['msg'].removeprefix('Value error, ')}{came}{like}"


def slug(data: str) -> str:
    """A bundle's name, made of the name of its data: without accents, and a dash for all but letters, digits and `._`.

    `My Reviews (final).csv` → `my-reviews-final`; `ConfigError` where nothing is left.
    """
    path = Path(data)
    path = path if path.name else path.resolve()  # "." is the folder's own name
    path = Path(path.stem) if path.suffix.lower() in COMPRESSED else path
    plain = unicodedata.normalize("NFKD", path.stem.casefold()).encode("ascii", "ignore").decode()
    name = re.sub(r"[^a-z0-9._]+", "-", plain)[:LONGEST_NAME].strip("-._")
    if not name:
        raise ConfigError(f"name: none can be made of {data!r}; give --name")
    return name
