"""The one configuration of a training run: typed fields, from flags over a TOML file over the shipped recipe.

Each setting is documented where it stands. Nothing is read from the environment. A wrong configuration is
refused before any work, all faults at once, and the one used is stored with the run.
"""

import tomllib
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
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

from training.architectures.registry import ARCHITECTURES, architectures_for, check_options
from training.errors import ConfigError
from training.lineage import kind_of

TaskName = Literal["vision", "text", "recommendation"]

RUN_SPECIFIC = frozenset(
    {"run", "models", "name", "config", "resume", "version", "threads", "progress"}
    | {"log_every_steps", "checkpoint_every_s", "quantize", "quantize_budget", "slice", "robustness"}
    | {"find_rate"}
)
"""Settings that do not change what is learned: a run may be resumed with other values of these."""


EMBEDDED = {
    "vision": ("digits", "cnn"),
    "text": ("tickets", "bag"),
    "recommendation": ("shop", "two-towers"),
}
"""Data and architecture where none are named: a small set that needs no network, and what learns it quickly."""


class TrainConfig(BaseSettings):
    """What to train on, what to train, how, and where the result goes."""

    model_config = SettingsConfigDict(
        extra="forbid", cli_kebab_case=True, cli_implicit_flags=True, cli_prog_name="baton train TASK"
    )

    # What goes in and what comes out
    task: TaskName = Field(description="which kind of model; the word after `baton train`")
    data: str = Field(
        description="a named public set, or the path of your own data; an embedded set if not given"
    )
    arch: str = Field(description="the architecture; `baton train --help` lists them and says which is taken")
    name: str = Field(
        default="",
        pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]{0,127})?$",
        description="the bundle's name; the data's if empty",
    )
    models: Path = Field(default=Path("models"), description="where bundles are published")
    version: NonNegativeInt = Field(default=0, description="the bundle's version; 0: the next free one")
    run: Path | None = Field(
        default=None, description="directory of the run; runs/NAME-ARCH-SEED if not given"
    )
    config: Path | None = Field(default=None, description="a TOML file with these same settings")
    resume: bool = Field(default=True, description="go on with an unfinished run of the same configuration")
    strict: bool = Field(default=False, description="stop at bad data instead of skipping and reporting them")

    # The data
    seed: NonNegativeInt = Field(default=0, description="of the weights, the order and every random draw")
    validation: float = Field(
        default=0.1, gt=0, lt=0.5, description="share of train held out to choose the best epoch (stratified)"
    )
    image_size: tuple[int, int, int] = Field(
        default=(64, 64, 3),
        description="vision: height, width and channels that a folder's pictures are brought to",
    )
    image_fit: Literal["crop", "stretch"] = Field(
        default="crop", description="vision: keep the aspect and cut the rest off, or distort"
    )
    background: int = Field(
        default=255, ge=0, le=255, description="vision: grey level behind transparent pixels"
    )
    max_pixels: PositiveInt = Field(
        default=50_000_000, description="vision: largest picture that is decoded, in training and in serving"
    )
    text_column: str = Field(default="text", description="text: the column of a table that holds the text")
    label_column: str = Field(default="label", description="text: the column that holds the label")
    tokenizer: Literal["words", "pieces"] = Field(
        default="words",
        description="text: an id for each word, or for the pieces that words are spelled from",
    )
    vocabulary: int = Field(default=30_000, ge=3, description="text: most ids, the frequent words first")
    max_length: PositiveInt = Field(default=512, description="text: tokens that are read of a text")
    max_characters: PositiveInt = Field(
        default=100_000, description="text: a longer one is refused, in training and in serving"
    )
    user_column: str = Field(default="user", description="recommendation: column of your file")
    item_column: str = Field(default="item", description="recommendation: column of your file")
    time_column: str = Field(
        default="",
        description="recommendation: column of your file, a number or an ISO date; rows are in order if empty",
    )
    title_column: str = Field(default="", description="recommendation: column with the items' titles, if any")
    repeats: bool = Field(
        default=False,
        description="recommendation: in your file, taking the same item again is normal (a shop)",
    )
    history: int = Field(default=100, ge=2, description="recommendation: most recent items that a model sees")
    default_k: PositiveInt = Field(default=10, description="recommendation: items in an answer, unless asked")
    max_k: PositiveInt = Field(default=100, description="recommendation: items in an answer at most")
    negatives: PositiveInt = Field(
        default=4, description="recommendation, mf and neumf: items drawn for each one that the user has"
    )

    # The model
    model: dict[str, Any] = Field(
        default_factory=dict, description="the architecture's own options by name, as JSON"
    )

    init_from: str = Field(
        default="",
        description="a bundle or a run to start from, with a new head: its architecture and --model are taken, "
        "unless told; vision: a checkpoint too; text: its tokenizer is taken over; neumf: a run of mf, same split",
    )
    freeze_epochs: NonNegativeInt = Field(
        default=1, description="with init_from: epochs in which only the new head learns"
    )
    unfrozen_rate: float = Field(
        default=0.1, gt=0, le=1, description="with init_from: share of the rate for all but the head, after"
    )

    # Optimisation
    epochs: PositiveInt = Field(default=20, description="passes over the training data")
    batch_size: PositiveInt = Field(default=128, description="examples a step, in each process")
    optimizer: Literal["sgd", "adam", "adamw"] = Field(
        default="adamw",
        description="sgd with Nesterov momentum; adam decays through the gradient, adamw apart",
    )
    learning_rate: PositiveFloat = Field(default=1e-3, description="peak of the schedule")
    find_rate: bool = Field(
        default=False, description="instead of training: try rising rates and suggest a learning_rate"
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
    ema: float = Field(default=0.0, ge=0, lt=1, description="decay a step of the averaged weights; 0: none")
    keep: Literal["best", "last"] = Field(
        default="best",
        description="whose weights are published: those of the best epoch on validation, or of the last, "
        "where validation is too small to tell epochs apart",
    )
    patience: NonNegativeInt = Field(default=0, description="epochs without a better one to stop; 0: never")
    word_dropout: float = Field(
        default=0.0, ge=0, lt=1, description="text: share of the words that are hidden"
    )
    crop: NonNegativeInt = Field(default=0, description="vision: pad by so many pixels, crop at random")
    flip: bool = Field(default=False, description="vision: mirror half of the pictures")
    erase: float = Field(default=0.0, ge=0, le=1, description="vision: probability of a noisy rectangle")
    mirror: bool = Field(
        default=False,
        description="vision: answer with the mean over the picture and its mirror image; runs take twice as long",
    )
    mixup: NonNegativeFloat = Field(default=0.0, description="vision: alpha of blending two pictures; 0: off")
    cutmix: NonNegativeFloat = Field(default=0.0, description="vision: alpha of pasting from another; 0: off")

    # The evaluation
    slice: list[str] = Field(
        default_factory=list,
        description="columns whose values are scored apart; vision: label, brightness, contrast",
    )
    robustness: bool = Field(
        default=True,
        description="score 2,000 test rows with noise, blur, rotation and FGSM, or typing errors",
    )

    # Compression
    quantize: Literal["auto", "off"] = Field(
        default="auto", description="auto: an int8 graph too, where it stays inside the budget"
    )
    quantize_budget: NonNegativeFloat = Field(
        default=0.5, description="points of the validation metric that int8 may lose"
    )

    teacher: str = Field(
        default="",
        description="vision and text: a bundle whose answers are learned too; text takes its tokenizer over",
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
    checkpoint_every_s: NonNegativeFloat = Field(default=30.0, description="what a kill can cost, in seconds")
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

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what it is given: an exported variable must not change a run."""
        return (init_settings,)

    @field_validator("arch")
    @classmethod
    def _known_architecture(cls, arch: str, info: ValidationInfo) -> str:
        known = architectures_for(info.data.get("task", ""))
        if known and arch not in known:
            raise ValueError(
                f"{arch!r} is no architecture for {info.data['task']}; there are {', '.join(known)}"
            )
        return arch

    @field_validator("model")
    @classmethod
    def _known_options(cls, model: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        arch = info.data.get("arch")
        if arch in ARCHITECTURES and (faults := check_options(ARCHITECTURES[arch], model)):
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
        if init_from and info.data.get("task") == "recommendation" and info.data.get("arch") != "neumf":
            raise ValueError(
                "vision, text and neumf only: a recommender's weights belong to its items and users"
            )
        if init_from and info.data.get("arch") == "bag":
            raise ValueError("a bag has no head to replace: its table is counted from its own texts")
        return init_from

    @field_validator("teacher")
    @classmethod
    def _can_be_taught(cls, teacher: str, info: ValidationInfo) -> str:
        if teacher and info.data.get("task") == "recommendation":
            raise ValueError("vision and text only: a teacher's answer is a class")
        return teacher

    @field_validator("prune")
    @classmethod
    def _has_weights_to_prune(cls, prune: float, info: ValidationInfo) -> float:
        if prune and info.data.get("arch") == "bag":
            raise ValueError(
                "a bag's weights correct naive Bayes: zero is a correction of none, not an absence"
            )
        return prune

    @property
    def bundle_name(self) -> str:
        return self.name or Path(self.data).stem.lower()

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
    try:
        flags = CliSettingsSource[Any](TrainConfig, cli_parse_args=["--task", task, *argv])()
    except SettingsError as error:
        raise ConfigError(f"the flags cannot be read: {error}") from error
    chosen = {**_read_toml(Path(flags["config"])), **flags} if flags.get("config") else dict(flags)
    data, arch = EMBEDDED.get(task, ("", ""))
    chosen = {"data": data, "arch": arch, **_taken_over(task, chosen), **chosen}
    return make_config({**shipped_recipe(str(chosen["data"]), str(chosen["arch"])), **chosen})


def _taken_over(task: str, chosen: Mapping[str, Any]) -> dict[str, Any]:
    source = kind_of(Path(chosen["init_from"])) if chosen.get("init_from") else None
    if source is None or source.task != task or chosen.get("arch", source.arch) != source.arch:
        return {}
    return {"arch": source.arch, "model": source.options}


def make_config(settings: Mapping[str, Any]) -> TrainConfig:
    """Check the settings; every fault is named with the value seen."""
    try:
        return TrainConfig(**settings)
    except ValidationError as error:
        raise ConfigError("the configuration is wrong:\n" + "\n".join(map(_fault, error.errors()))) from error


def default_of(setting: str) -> Any:
    """A setting's default, as JSON has it."""
    default = TrainConfig.model_fields[setting].get_default(call_default_factory=True)
    return list(default) if isinstance(default, tuple) else default


def shipped_recipe(data: str, arch: str) -> dict[str, Any]:
    """The measured settings for this set and architecture; empty where none were measured."""
    file = resources.files("training") / "configs" / f"{Path(data).name}-{arch}.toml"
    return tomllib.loads(file.read_text()) if file.is_file() else {}


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"config: cannot read {path}: {error}") from error


def _fault(error: Any) -> str:
    where = ".".join(str(part) for part in error["loc"])
    seen = "" if error["type"] in ("missing", "value_error") else f" (it is {error['input']!r})"
    return f"  {where}: {error['msg'].removeprefix('Value error, ')}{seen}"
