"""Text: classification of a text of any length. A string in, a class out."""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import torch
from torch import Generator, Tensor, nn
from torchmetrics import MetricCollection

from inference.configs import TextConfig
from inference.manifest import DataSource, TaskName
from inference.predictor import Predictor
from inference.processors.classification import LABELS_FILE
from inference.processors.text import INPUT, TOKENIZER_FILE, TextProcessor, pad, read_tokenizer
from inference.values import Payload, Tensors
from training.architectures.base import TextNetwork
from training.architectures.classifier import ClassifierGraph
from training.architectures.outliers import OutlierScore
from training.architectures.registry import find_architecture
from training.architectures.words import PAD, Words
from training.config import TrainConfig
from training.data.configured import text_set
from training.data.examples import Batch, spread_rows
from training.data.faults import refuse
from training.data.rows import Rows
from training.data.splits import Holdout, calibration_rows, stratified_holdout
from training.data.strings import Strings
from training.data.text import Texts
from training.data.text_sets import TextSet
from training.data.tokenizer import PAD_ID, UNKNOWN_ID, choose_kind, train_tokenizer
from training.errors import ConfigError
from training.evaluate.calibrate import Calibrated
from training.evaluate.linear import Split, text_baseline
from training.evaluate.outliers import OutlierChoice
from training.evaluate.report import Report
from training.evaluate.robustness import of_texts
from training.evaluate.word_pairs import word_pairs
from training.run import read_tokenizer_of
from training.tasks import classification
from training.tasks.base import Axes, Foreign, Int8Method, Monitor, TaskData, TaskOf
from training.tasks.classification import ClassFacts
from training.tasks.foreign import first_words, foreign_texts

log = logging.getLogger(__name__)

COUNTING_BATCH = 256
"""Texts whose n-grams are counted at once: a row of ids each, padded to the longest of them."""

TOKENIZED_BATCH = 1024
"""Texts that the tokenizer's library holds at once: its own record of a text is many times as long as the ids."""

SHORTEST_BUCKET = 16
"""Tokens. Buckets double from here: shorter ones would make smaller batches, and save little padding."""


@dataclass(frozen=True)
class TextFacts(ClassFacts):
    """tokenizer: the content of `tokenizer.json`; vocabulary: how many ids it has."""

    tokenizer: str
    vocabulary: int


@dataclass(frozen=True)
class TextData(TaskData[Texts]):
    """Texts as token ids, rows of different lengths."""

    facts: TextFacts


class TextTask(TaskOf[TextData, TextFacts, TextNetwork]):
    """Token ids in batches of like length, cross-entropy over classes, best epoch by accuracy."""

    name = "text"
    manifest_task: TaskName = "text"
    monitor = classification.ACCURACY
    outputs: tuple[str, ...] = ("probabilities", "logits")
    axes: Axes = MappingProxyType({INPUT: {1: "length"}})
    int8_methods: tuple[Int8Method, ...] = ("dynamic", "static", "tables")

    def monitor_for(self, config: TrainConfig) -> Monitor:
        return classification.monitor_for(config)

    def load(self, config: TrainConfig) -> TextData:
        """The tokenizer is learned from the rows that are trained on, and from no other."""
        texts = text_set(config)
        held, splits = _split(texts, config)
        tokenizer, kind = _tokenizer(config, splits["train"].texts)
        processor = TextProcessor(_processor(config), read_tokenizer(tokenizer))
        encoded: dict[str, Texts] = {}
        wordless: list[str] = []
        for split, rows in splits.items():
            encoded[split], faults = encode(processor, rows, texts.classes, by_length=split != "train")
            wordless += faults
        if config.strict:
            refuse(texts.name, wordless)
        return TextData(
            **encoded,
            held_out=held,
            source=DataSource(
                name=texts.name,
                url=texts.url,
                licence=texts.licence,
                digest=texts.digest,
                rows={split: len(rows) for split, rows in encoded.items()},
                choices={**texts.choices, **kind},
            ),
            facts=TextFacts(
                classes=texts.classes,
                class_counts=tuple(encoded["train"].labels.bincount(minlength=len(texts.classes)).tolist()),
                tokenizer=tokenizer,
                vocabulary=read_tokenizer(tokenizer).get_vocab_size(),
            ),
            skipped=(*texts.skipped, *wordless),
            calibration=calibration_rows(encoded["validation"].labels.numpy(), config.seed),
        )

    def build(self, config: TrainConfig, data: TextData) -> TextNetwork:
        words = Words(data.facts.vocabulary, config.max_length)
        builder = find_architecture(self.name, config.arch).build
        model: TextNetwork = builder(words, len(data.facts.classes), **config.model)
        model.prepare(_in_order(data.train))
        return model

    def augment(self, batch: Batch, config: TrainConfig, facts: TextFacts, generator: Generator) -> Batch:
        """Words are hidden at random, so that a text is not known by one of them (`word_dropout`)."""
        if not config.word_dropout:
            return batch
        return {**batch, INPUT: hide_words(batch[INPUT], config.word_dropout, generator)}

    def loss(self, model: TextNetwork, batch: Batch, config: TrainConfig, facts: TextFacts) -> Tensor:
        return classification.loss(model(batch[INPUT]).float(), batch, config, facts)

    def metrics(self, facts: TextFacts) -> MetricCollection:
        return classification.metrics(facts)

    def score(self, model: nn.Module, batch: Batch, metrics: MetricCollection) -> Tensor:
        logits = model(batch[INPUT]).float()
        metrics.update(logits, batch["label"])
        return nn.functional.cross_entropy(logits, batch["label"])

    def inputs(self, batch: Batch) -> Batch:
        return {INPUT: batch[INPUT]}

    def collate(self, parts: Sequence[Tensors]) -> Tensors:
        return {INPUT: pad([part[INPUT] for part in parts], PAD_ID)}

    def strangers(self, data: TextData) -> list[Tensors]:
        """Known words by chance, as long as the longest text and one alone, one word again and again, unknown words."""
        longest, vocabulary = int(data.validation.lengths.max()), data.facts.vocabulary
        words = np.random.default_rng(0).integers(
            min(UNKNOWN_ID + 1, vocabulary - 1), vocabulary, (1, longest)
        )
        rows = (words, words[:, :1], np.full_like(words, words[0, 0]), np.full_like(words, UNKNOWN_ID))
        return [{INPUT: row} for row in rows]

    def calibrate(self, model: nn.Module, data: TextData, config: TrainConfig) -> Calibrated:
        return classification.calibrate_on(model, data, self.inputs, config)

    def outliers(
        self, model: TextNetwork, calibrated: Calibrated, data: TextData
    ) -> tuple[OutlierScore, OutlierChoice]:
        """Candidates are the scores of features and the surprise of the words themselves."""
        tokenizer = read_tokenizer(data.facts.tokenizer)
        longest = int(data.validation.lengths.max())
        rows = spread_rows(len(data.validation), classification.CHOOSING_ROWS).tolist()
        made = foreign_texts(
            [data.validation.raw[row] for row in rows], _words_of(data.facts), classification.CHOOSING_SEED
        )
        foreign = {}
        for name, texts in made.items():
            encoded = tokenizer.encode_batch_fast(texts, add_special_tokens=False)
            ids = [one.ids[:longest] or [UNKNOWN_ID] for one in encoded]
            foreign[name] = Texts.of(texts, ids, [0] * len(texts))
        more = {"word pairs": word_pairs(data.train, data.validation, data.facts.vocabulary)}
        graph = self.deployed(model, calibrated)
        return classification.choose_outliers(graph, data.train, data.validation, self.inputs, foreign, more)

    def foreign(self, data: TextData, config: TrainConfig) -> list[Foreign]:
        own = _some(data.test.raw)
        made = foreign_texts(own, _words_of(data.facts), classification.MEASURING_SEED)
        found = [Foreign(name, "generated", _payloads(texts)) for name, texts in made.items()]
        for name in config.foreign:
            rows = text_set(config.model_copy(update={"data": name})).test
            found.append(Foreign(Path(name).name, "named", _payloads(_some(rows.texts))))
        return [*found, Foreign("first words", "first words", _payloads(first_words(own)))]

    def own(self, data: TextData) -> list[Payload]:
        return _payloads(_some(data.test.raw))

    def deployed(self, model: TextNetwork, calibrated: Calibrated) -> ClassifierGraph:
        return ClassifierGraph(model.deployed(), calibrated.temperature)

    def processor(self, config: TrainConfig, data: TextData) -> TextConfig:
        return _processor(config)

    def files(self, data: TextData) -> Mapping[str, bytes]:
        labels = json.dumps(data.facts.classes, ensure_ascii=False, indent=1)
        return {LABELS_FILE: labels.encode(), TOKENIZER_FILE: data.facts.tokenizer.encode()}

    def payload(self, examples: Texts, row: int) -> Payload:
        return Payload(examples.raw[row].encode(), "text/plain", field=f"row {row}")

    def golden_rows(self, data: TextData) -> list[int]:
        """The shortest text, the longest, and of each class one of middle length; the rows are in that order."""
        labels = data.validation.labels
        middle = [
            int(rows[len(rows) // 2])
            for rows in (torch.nonzero(labels == label)[:, 0] for label in range(len(data.facts.classes)))
            if len(rows)
        ]
        return sorted({0, len(labels) - 1, *middle[: classification.GOLDEN_EXAMPLES]})

    def evaluate(self, predictor: Predictor, data: TextData, calibrated: Calibrated, plots: Path) -> Report:
        payloads = [self.payload(data.test, row) for row in range(len(data.test))]
        classes = data.facts.classes
        return classification.evaluate(predictor, payloads, data.test.labels, classes, calibrated, plots)

    def robustness(
        self, candidate: Path, model: nn.Module, data: TextData, config: TrainConfig
    ) -> dict[str, float]:
        return of_texts(Predictor.open(candidate, "fp32", prove=False), data.test)

    def with_baselines(self, report: Report, data: TextData, config: TrainConfig) -> Report:
        splits = (Split(each.raw, each.labels.numpy()) for each in (data.train, data.validation, data.test))
        baseline = text_baseline(*splits, balanced=config.class_weights == "balanced")
        return classification.with_baseline(report, baseline, data.test.labels, config)


def _words_of(facts: TextFacts) -> list[str]:
    """The words of the vocabulary, without padding and the unknown one."""
    found = read_tokenizer(facts.tokenizer).get_vocab()
    return sorted(word for word, place in found.items() if place not in (PAD_ID, UNKNOWN_ID)) or ["?"]


def _some(texts: Sequence[str]) -> list[str]:
    rows = spread_rows(len(texts), classification.MEASURED_ROWS)
    return [texts[row] for row in rows.tolist()]


def _payloads(texts: Sequence[str]) -> list[Payload]:
    return [Payload(text.encode(), "text/plain", field=f"row {row}") for row, text in enumerate(texts)]


def borrowed_tokenizer(config: TrainConfig) -> str | None:
    """That of the model to start from or to learn from: its ids have a meaning by its own tokenizer alone."""
    sources = {"init_from": config.init_from, "teacher": config.teacher}
    found = {name: read_tokenizer_of(Path(source), name) for name, source in sources.items() if source}
    if len(set(found.values())) > 1:
        raise ConfigError("init_from and teacher have different tokenizers; expected one")
    return next(iter(found.values()), None)


def _tokenizer(config: TrainConfig, train: Strings) -> tuple[str, dict[str, str]]:
    """The content of `tokenizer.json`, and the kind that was chosen by the texts where none was asked for."""
    if borrowed := borrowed_tokenizer(config):
        return borrowed, {}
    if config.tokenizer != "auto":
        return train_tokenizer(train, config.tokenizer, config.vocabulary, config.min_count).to_str(), {}
    kind, writing = choose_kind(train)
    log.info("tokenizer: %s, since %s (--tokenizer rules)", kind, writing)
    return train_tokenizer(train, kind, config.vocabulary, config.min_count).to_str(), {
        "tokenizer": f"{kind}: {writing}"
    }


def encode(
    processor: TextProcessor, rows: Rows, classes: Sequence[str], *, by_length: bool
) -> tuple[Texts, list[str]]:
    """Tokenize and cut as serving does; rows without a token are left out, and a line is given on each.

    by_length: shortest first, so that batches in order pad little.
    """
    flat, counts = bytearray(), []  # grows in place: joining arrays at the end would hold all ids twice
    for batch in rows.texts.batches(TOKENIZED_BATCH):
        found, count = _ids(processor, batch)
        flat += found.tobytes()
        counts.append(count)
    ids, lengths = np.frombuffer(flat, np.int32), np.concatenate([np.zeros(0, np.int64), *counts])
    faults = [
        f"{rows.where(row)}: {rows.texts[row][:80]!r} holds no word"
        for row in np.flatnonzero(lengths == 0).tolist()
    ]
    order = np.argsort(lengths, kind="stable") if by_length else np.arange(len(rows))
    order = order[lengths[order] > 0]
    if by_length:
        starts = np.cumsum(lengths) - lengths
        ids = np.concatenate(
            [ids[start : start + lengths[row]] for row, start in zip(order, starts[order], strict=True)]
            or [ids]
        )
    chosen = rows.take(order)
    return Texts.flat(chosen.texts, ids, lengths[order], chosen.classes(classes)), faults


def _ids(
    processor: TextProcessor, texts: Sequence[str]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """The ids of some texts, int32 [tokens], and how many each has, int64 [rows]."""
    longest = processor.config.max_length
    rows = [row[:longest] for row in processor.encode(texts)]
    lengths = np.fromiter(map(len, rows), np.int64, len(rows))
    return np.fromiter(chain.from_iterable(rows), np.int32, int(lengths.sum())), lengths


def hide_words(ids: Tensor, share: float, generator: Generator) -> Tensor:
    """Replace that share of the words by the unknown word: int64 [n, length] → the same shape."""
    draws = torch.rand(ids.shape, generator=generator, device=ids.device)
    return torch.where((draws < share) & (ids != PAD), UNKNOWN_ID, ids)


def length_buckets(max_length: int) -> tuple[int, ...]:
    """Lengths that double, up to `max_length`: padding within a bucket at most doubles a row."""
    buckets = []
    length = SHORTEST_BUCKET
    while length < max_length:
        buckets.append(length)
        length *= 2
    return (*buckets, max_length)


def _split(texts: TextSet, config: TrainConfig) -> tuple[Holdout, dict[str, Rows]]:
    """The published validation split, or a part of train; rows of the first count on after those of train."""
    if len(texts.validation):
        whole = np.arange(len(texts.train) + len(texts.validation))
        held = Holdout(whole[: len(texts.train)], whole[len(texts.train) :])
        return held, {"train": texts.train, "validation": texts.validation, "test": texts.test}
    labels = texts.train.classes(texts.classes)
    held = stratified_holdout(labels, round(config.validation * len(labels)), config.seed)
    train, validation = texts.train.take(held.train), texts.train.take(held.held)
    return held, {"train": train, "validation": validation, "test": texts.test}


def _processor(config: TrainConfig) -> TextConfig:
    return TextConfig(
        kind="text",
        max_length=config.max_length,
        length_buckets=length_buckets(config.max_length),
        pad_id=PAD_ID,
        unknown_id=UNKNOWN_ID,
        max_characters=config.max_characters,
    )


def _in_order(texts: Texts) -> Iterator[tuple[Tensor, Tensor]]:
    """Every text once, like lengths together: ids int64 [n, length] and labels int64 [n]."""
    for rows in torch.split(texts.lengths.argsort(stable=True), COUNTING_BATCH):
        batch = texts.batch(rows, Generator())
        yield batch[INPUT], batch["label"]
