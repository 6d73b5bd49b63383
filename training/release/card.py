"""`card.md`: the account of a model for people, with plots; every figure of it is in the manifest too."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from inference.configs import WELL_DETECTED, Conformal, ForeignSet, OutOfDistribution
from inference.manifest import DistilledFrom, Pruning
from inference.options import Precision
from training.config import TrainConfig
from training.evaluate.conformal import describe_sets
from training.evaluate.gate import describe as describe_gap
from training.evaluate.gate import gaps
from training.evaluate.report import Report
from training.evaluate.slices import worst_gap
from training.fit.train import FitResult
from training.release.compress import describe
from training.release.provenance import command
from training.release.quantize import Quantization, describe_trial
from training.tasks.base import TaskData


def write_card(
    target: Path,
    config: TrainConfig,
    data: TaskData[Any],
    fitted: FitResult,
    report: Report,
    teacher: DistilledFrom | None = None,
) -> None:
    """Figures on test first, then plots, data and training."""
    sections = (
        _head(config, data, report),
        _baselines(report),
        _per_class(report),
        _calibration(report),
        _outliers(report),
        _slices(report),
        _robustness(report),
        _plots(report),
        _training(config, data, fitted, teacher),
    )
    target.write_text("\n\n".join(section for section in sections if section) + "\n")


def add_pruning(card: Path, pruning: Pruning) -> None:
    """Append the cost and gain of pruning, or its refusal."""
    with card.open("a", encoding="utf-8") as stream:
        stream.write(f"\n## Pruning\n\n- {describe(pruning)}\n")


def add_int8(card: Path, quantization: Quantization, reports: Mapping[Precision, Report]) -> None:
    """Append the cost and gain of int8, or why there is none."""
    lines = ["## int8", ""]
    if "int8" in reports:
        lines += ["| metric on test | fp32 | int8 |", "|---|--:|--:|"]
        small = reports["int8"].evaluation.metrics
        lines += [
            f"| {name.replace('_', ' ')} | {value:.4f} | {small[name]:.4f} |"
            for name, value in reports["fp32"].evaluation.metrics.items()
            if name in small
        ]
        lines.append("")
    trials = quantization.tried.items()
    lines += [f"- {method}: {describe_trial(quantization, trial)}" for method, trial in trials]
    chosen = quantization.accepted
    served = "int8" if chosen is not None and chosen.faster else "fp32"
    lines.append(f"- Served unless told otherwise: {served}")
    with card.open("a", encoding="utf-8") as stream:
        stream.write("\n" + "\n".join(lines) + "\n")


def _head(config: TrainConfig, data: TaskData[Any], report: Report) -> str:
    figures = report.evaluation.metrics
    rows = "\n".join(f"| {name.replace('_', ' ')} | {value:.4f} |" for name, value in figures.items())
    return (
        f"# {config.bundle_name}: {config.arch} trained on {data.source.name}\n\n"
        f"Figures on the {report.evaluation.rows:,} examples of the test split, taken through this bundle "
        f"with ONNX Runtime; nothing was chosen on them.\n\n| metric | test |\n|---|--:|\n{rows}"
    )


def _baselines(report: Report) -> str:
    lines = [f"- {describe_gap(name, gap)}" for name, gap in gaps(report).items()]
    return "\n".join(["## Baseline\n", *lines]) if lines else ""


def _per_class(report: Report) -> str:
    if not report.evaluation.per_class:
        return ""
    rows = "\n".join(
        f"| {score.label} | {score.precision:.3f} | {score.recall:.3f} | {score.f1:.3f} | {score.rows:,} |"
        for score in report.evaluation.per_class
    )
    return f"## By class\n\n| class | precision | recall | F1 | rows |\n|---|--:|--:|--:|--:|\n{rows}"


def _calibration(report: Report) -> str:
    found = report.calibration
    if found is None:
        return ""
    lines = ["## Calibration\n"]
    before, after = f"{found.ece_before:.4f}", f"{found.ece_after:.4f}"
    if found.method == "none":
        lines.append(
            f"No temperature was taken; the expected calibration error on test ({found.bins} bins) is {after}."
        )
    else:
        lines.append(
            f"Temperature {found.temperature:.3f}, fitted on validation and folded into the graph; the expected "
            f"calibration error on test ({found.bins} bins) went from {before} to {after}."
        )
    if found.ece_low is not None and found.ece_high is not None and found.ece_noise is not None:
        lines.append(
            f"Its 95 % bootstrap interval is {found.ece_low:.4f} to {found.ece_high:.4f}; by chance alone a calibrated "
            f"model has {found.ece_noise:.4f} on as many rows."
        )
    if found.reason:
        lines.append(f"The reason for the temperature: {found.reason}.")
    return "\n".join(lines) + _prediction_sets(report.conformal)


def _prediction_sets(conformal: Conformal | None) -> str:
    if conformal is None:
        return "\n\nThere are no prediction sets: validation has too few rows."
    rows = "\n".join(
        f"| {level} | {covered:.4f} | {_figure(conformal.standard_error, level)} | "
        f"{_figure(conformal.lowest, level)} | {_figure(conformal.sizes, level, 2)} |"
        for level, covered in conformal.covered.items()
    )
    return (
        f"\n\n## Prediction sets\n\nSets: {describe_sets(conformal)}.\n\n"
        "| coverage | found on test | standard error by calibration | lowest of a class | labels in a set |\n"
        f"|--:|--:|--:|--:|--:|\n{rows}"
    )


def _figure(figures: Mapping[str, float], level: str, digits: int = 4) -> str:
    return f"{figures[level]:.{digits}f}" if level in figures else ""


def _outliers(report: Report) -> str:
    """The outlier score and its figures; which kinds it does not tell apart stands first."""
    found, evaluation = report.out_of_distribution, report.evaluation
    if found is None or not evaluation.foreign:
        return ""
    rates = list(found.thresholds)
    head = " | ".join(f"flagged at {float(rate):.0%}" for rate in rates)
    rows = "\n".join(
        f"| {one.name} | {'made by rule' if one.generated else 'data set'} | {one.rows:,} | {one.auroc:.3f} | "
        + " | ".join(f"{one.detected[rate]:.3f}" for rate in rates)
        + " |"
        for one in evaluation.foreign
    )
    alarms = [("test itself", evaluation.false_alarms), ("test, first ten words", evaluation.first_words)]
    rows += "".join(
        f"\n| {name} | false alarms | | | " + " | ".join(f"{shares[rate]:.3f}" for rate in rates) + " |"
        for name, shares in alarms
        if shares
    )
    return (
        f"## Rows of another kind\n\n{outlier_sentence(found, evaluation.foreign)}\n\n"
        f"| rows | origin | count | AUROC | {head} |\n|---|---|--:|--:|{'--:|' * len(rates)}\n{rows}"
    )


def outlier_sentence(found: OutOfDistribution, foreign: Sequence[ForeignSet]) -> str:
    """The claim that the measured figures allow."""
    weak = [one.name for one in foreign if one.auroc < WELL_DETECTED]
    chosen = (
        f'`outlier` is the score "{found.score}" above its threshold, which {found.false_alarm_rate:.0%} of '
        "validation exceed; it was chosen by rows made from validation, and measured by those below."
    )
    if not weak:
        return f"{chosen} Each kind below is told from test with an AUROC of at least {WELL_DETECTED:g}."
    return (
        f"{chosen} It does **not** tell these kinds from test well (AUROC below {WELL_DETECTED:g}): "
        f"{', '.join(weak)}. Rows of another kind may pass unseen."
    )


def _slices(report: Report) -> str:
    scores = report.evaluation.slices
    if not scores:
        return ""
    rows = "\n".join(
        f"| {one.column} | {one.value} | {one.rows:,} | {one.score:.4f} | {one.low:.4f} – {one.high:.4f} |"
        for one in scores
    )
    return (
        "## Slices of test\n\n| column | value | rows | accuracy | 95 % interval |\n|---|---|--:|--:|--:|\n"
        f"{rows}\n\nThe worst gap inside a column is {worst_gap(scores):.4f}."
    )


def _robustness(report: Report) -> str:
    found = report.evaluation.robustness
    rows = "\n".join(f"| {name} | {value:.4f} |" for name, value in found.items())
    return f"## Robustness\n\n| test rows | accuracy |\n|---|--:|\n{rows}" if found else ""


def _plots(report: Report) -> str:
    shown = {"learning_curves.png": "Learning curves", **report.pictures}
    return "## Plots\n\n" + "\n\n".join(f"![{caption}]({name})" for name, caption in shown.items())


def _training(
    config: TrainConfig, data: TaskData[Any], fitted: FitResult, teacher: DistilledFrom | None
) -> str:
    source, rows = data.source, data.source.rows
    origin = f" <{source.url}>" if source.url else ""
    return (
        "## Data and training\n\n"
        f"- Data: {source.name}{origin}, licence: {source.licence}\n"
        f"- Rows: {', '.join(f'{count:,} {split}' for split, count in rows.items())}; validation is held out of "
        "train, seeded and stratified\n"
        f"- Command: `{command(config)}`; every setting is in the manifest\n"
        f"- {fitted.parameters:,} parameters, {fitted.epochs} epochs, {fitted.steps:,} steps; "
        f"the epoch that is kept had validation {fitted.metric.replace('_', ' ')} {fitted.score:.4f}"
        + (f"\n- Distilled from the bundle {teacher.name}, version {teacher.version}" if teacher else "")
    )
