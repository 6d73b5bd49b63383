"""The steps of a training in order, each from artefact to artefact.

    data → search → fit → prune → calibrate → outliers → export → verify → quantize → candidate → reference → evaluate
         → compare with the baseline → publish

A step leaves its artefact in the run's directory, and an artefact that is there is read instead. So a run that was
stopped, at any step and in the middle of an epoch, resumes by the same command.
"""

import json
import logging
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from inference.manifest import Company, Parity
from inference.options import Precision
from inference.predictor import Predictor
from training.architectures.classifier import ClassifierGraph
from training.architectures.outliers import OutlierScore
from training.config import TrainConfig
from training.data.examples import Batch
from training.errors import RunError
from training.evaluate.calibrate import Calibrated
from training.evaluate.gate import Gap, gaps
from training.evaluate.gate import describe as describe_gap
from training.evaluate.outliers import OutlierChoice, dump, restore
from training.evaluate.report import Report
from training.fit.budget import settled
from training.fit.checkpoint import read_checkpoint, save_checkpoint
from training.fit.processes import leave_group
from training.fit.pruning import prune
from training.fit.search import chosen_settings
from training.fit.teacher import read_teacher
from training.fit.train import best_model, fit, load_data
from training.release.compress import compare_with_dense, describe, inside_budget
from training.release.export import export
from training.release.publish import Artifacts, make_candidate, publish
from training.release.quantize import Quantization, describe_trial, quantize
from training.release.recalls import never_right, recalls_of, validation_recalls
from training.release.reference import make_reference
from training.release.verify import company_of, verify
from training.run import RunFiles, already_published, atomic_write, open_run
from training.tasks.base import Foreign, Task, TaskData, outputs_of
from training.tasks.classification import measure_outliers, outlier_record
from training.tasks.registry import find_task

log = logging.getLogger(__name__)

VERIFIED_ROWS = 128
"""Validation rows of the proof: each is run alone and in every batch size of `training.release.verify`."""


def train(config: TrainConfig) -> Path:
    """Run every step that is not done yet; returns the folder of the published bundle."""
    files = open_run(config)
    if (published := already_published(config, files)) is not None:
        log.info("this run is published already")
        return published
    task = find_task(config.task)
    data = load_data(config, files)
    log.info(
        "data: %s: %s", data.source.name, ", ".join(f"{n:,} {split}" for split, n in data.source.rows.items())
    )
    config = chosen_settings(settled(config, len(data.train)), files, data)
    log.info("settings: %d epochs in batches of %d", config.epochs, config.batch_size)
    fitted = fit(config, files, data)
    log.info(
        "fit: %s validation %s %.4f after %d epochs", config.keep, fitted.metric, fitted.score, fitted.epochs
    )
    pruned = prune(config, files, data) if config.prune else None
    leave_group()
    taken = pruned is not None and inside_budget(config, task.monitor_for(config).mode, fitted, pruned)
    model = best_model(config, (files.pruned if taken else files).best, data)
    for line in never_right(validation_recalls(task, model, data), "validation"):
        log.warning("%s", line)
    calibrated = calibrate(task, model, data, config, files)
    outliers = choose_outliers(task, model, calibrated, data, files)
    deployed = with_score(task.deployed(model, calibrated).eval(), outliers)
    parity = export_and_verify(task, deployed, data, files)
    company = proved_company(task, data, files)
    log.info("verify: at most %.2g from PyTorch, and no row sees its company", parity.max_abs_diff)
    pruning = None
    if pruned is not None:
        whole = best_model(config, files.best, data)
        dense = with_score(task.deployed(whole, calibrated).eval(), outliers)
        pruning = compare_with_dense(config, task, data, files, (fitted, pruned), dense)
        log.info("prune: %s", describe(pruning))
    quantized = quantized_graph(config, task, data, files)
    int8 = files.int8_graph if quantized and quantized.accepted else None
    artifacts = Artifacts(
        config,
        task,
        data,
        fitted,
        files.graph,
        parity,
        company,
        quantized,
        int8,
        pruning,
        read_teacher(files),
    )
    candidate = make_candidate(artifacts, deployed, files.candidates)
    build_reference(task, candidate, data, files)
    forget_other_slices(config, files)
    reports: dict[Precision, Report] = {"fp32": evaluate(task, candidate, data, calibrated, files)}
    reports["fp32"] = with_robustness(reports["fp32"], config, task, candidate, model, data, files)
    reports["fp32"] = with_baselines(reports["fp32"], config, task, data, files)
    if int8 is not None:
        reports["int8"] = evaluate(task, candidate, data, calibrated, files, "int8")
    if outliers is not None:
        foreign = task.foreign(data, config)
        for precision, report in reports.items():
            reports[precision] = with_foreign(
                report, foreign, task, candidate, data, files, outliers[1], precision
            )
    for precision, report in reports.items():
        log.info("test, %s: %s", precision, "\n  ".join(by_model(report.evaluation.metrics)))
        for line in never_right(recalls_of(report.evaluation), "test"):
            log.warning("%s", line)
    refuse_below_baseline(config, gaps(reports["fp32"]))
    published = publish(artifacts, candidate, reports, files)
    atomic_write(files.published, json.dumps({"bundle": str(published)}))
    return published


def run_worker_rank(config: TrainConfig) -> None:
    """Every process but the first: its share of the fits, and no more."""
    files = open_run(config)
    if already_published(config, files) is None:
        data = load_data(config, files)
        config = chosen_settings(settled(config, len(data.train)), files, data)
        fit(config, files, data)
        if config.prune:
            prune(config, files, data)


def by_model(metrics: Mapping[str, float]) -> list[str]:
    """A line for the model's own figures, and one for those of each baseline, which begin with its name."""
    lines: dict[str, list[str]] = {}
    for name, value in metrics.items():
        owner, _, figure = name.rpartition(": ")
        lines.setdefault(owner, []).append(f"{figure} {value:.4f}")
    return [f"{owner}: {', '.join(told)}" if owner else ", ".join(told) for owner, told in lines.items()]


def calibrate(
    task: Task, model: nn.Module, data: TaskData[Any], config: TrainConfig, files: RunFiles
) -> Calibrated:
    """Temperature and thresholds from validation."""
    if not files.calibration.exists():
        atomic_write(files.calibration, task.calibrate(model, data, config).model_dump_json(indent=1))
    return Calibrated.model_validate_json(files.calibration.read_text())


def choose_outliers(
    task: Task, model: nn.Module, calibrated: Calibrated, data: TaskData[Any], files: RunFiles
) -> tuple[OutlierScore, OutlierChoice] | None:
    """The outlier score of the model, chosen on validation; a graph without it is exported again."""
    if not files.outliers.exists():
        if (found := task.outliers(model, calibrated, data)) is None:
            return None
        for stale in (files.parity, files.quantization, files.int8_report, files.report):
            stale.unlink(missing_ok=True)
        save_checkpoint(dump(*found), files.outliers)
    score, choice = restore(read_checkpoint(files.outliers))
    described = ", ".join(f"{name} {value:.3f}" for name, value in choice.candidates.items())
    log.info("outliers: %s; AUROC on rows made from validation: %s", choice.score, described)
    return score, choice


def with_score(deployed: nn.Module, outliers: tuple[OutlierScore, OutlierChoice] | None) -> nn.Module:
    """The same module with the outlier score as its last output, where there is one."""
    if isinstance(deployed, ClassifierGraph) and outliers is not None:
        deployed.outliers = outliers[0].eval()
    return deployed


def with_foreign(
    report: Report,
    foreign: Sequence[Foreign],
    task: Task,
    candidate: Path,
    data: TaskData[Any],
    files: RunFiles,
    choice: OutlierChoice,
    precision: Precision,
) -> Report:
    """The report with the outlier score measured on test and foreign rows; kept with the report."""
    expected = {one.name for one in foreign if one.kind != "first words"}
    if {one.name for one in report.evaluation.foreign} == expected and report.evaluation.false_alarms:
        return report
    predictor = Predictor.open(candidate, precision, prove=False)
    measured = measure_outliers(predictor, task.own(data), foreign, choice.thresholds)
    for one in measured["foreign"]:
        log.info("outliers, %s: %s: AUROC %.3f", precision, one.name, one.auroc)
    report = report.model_copy(
        update={
            "evaluation": report.evaluation.model_copy(update=measured),
            "out_of_distribution": outlier_record(choice),
        }
    )
    atomic_write(files.report_of(precision), report.model_dump_json(indent=1))
    return report


def export_and_verify(task: Task, deployed: nn.Module, data: TaskData[Any], files: RunFiles) -> Parity:
    """The graph, proved on validation examples; an unproved graph is exported again."""
    if not files.parity.exists():
        rows = random.Random(0).sample(range(len(data.validation)), min(VERIFIED_ROWS, len(data.validation)))

        def collate(chosen: Sequence[int]) -> Batch:
            index = torch.tensor([rows[position] for position in chosen])
            return task.inputs(data.validation.batch(index, torch.Generator()))

        files.company.unlink(missing_ok=True)
        outputs = outputs_of(task, deployed)
        export(deployed, collate([0, 1]), outputs, files.graph, task.axes)
        parity = verify(deployed, files.graph, collate, outputs, len(rows))
        atomic_write(files.parity, parity.model_dump_json(indent=1))
    return Parity.model_validate_json(files.parity.read_text())


def proved_company(task: Task, data: TaskData[Any], files: RunFiles) -> Company:
    """That the graph's rows do not see each other; `BatchMatters` where they do."""
    if not files.company.exists():
        atomic_write(files.company, company_of(files.graph, task, data).model_dump_json(indent=1))
    return Company.model_validate_json(files.company.read_text())


def quantized_graph(
    config: TrainConfig, task: Task, data: TaskData[Any], files: RunFiles
) -> Quantization | None:
    """The trials of int8; made again when the budget is another, or rows were not proved to keep apart."""
    if config.quantize == "off":
        return None
    found = _read_quantization(files)
    if found is None or found.budget != config.quantize_budget or not found.proved:
        files.int8_report.unlink(missing_ok=True)
        found = quantize(task, files.graph, data, files.int8_graph, config)
        atomic_write(files.quantization, found.model_dump_json(indent=1))
    for method, trial in found.tried.items():
        log.info("int8, %s: %s", method, describe_trial(found, trial))
    return found


def build_reference(task: Task, candidate: Path, data: TaskData[Any], files: RunFiles) -> None:
    """The reference that drift is measured against, through the candidate."""
    if not files.reference.exists():
        reference = make_reference(Predictor.open(candidate, "fp32", prove=False), task, data)
        atomic_write(files.reference, reference.model_dump_json(indent=1))


def forget_other_slices(config: TrainConfig, files: RunFiles) -> None:
    """Reports that were sliced by other columns are made again."""
    for artefact in (files.report, files.int8_report):
        if artefact.exists():
            report = Report.model_validate_json(artefact.read_text())
            if {score.column for score in report.evaluation.slices} != set(config.slice):
                artefact.unlink()


def with_robustness(
    report: Report,
    config: TrainConfig,
    task: Task,
    candidate: Path,
    model: nn.Module,
    data: TaskData[Any],
    files: RunFiles,
) -> Report:
    """The report with accuracy on worse inputs, where the task has such; kept with the report."""
    if not config.robustness or report.evaluation.robustness:
        return report
    if not (found := task.robustness(candidate, model, data, config)):
        return report
    evaluation = report.evaluation.model_copy(update={"robustness": found})
    report = report.model_copy(update={"evaluation": evaluation})
    atomic_write(files.report, report.model_dump_json(indent=1))
    return report


def with_baselines(
    report: Report, config: TrainConfig, task: Task, data: TaskData[Any], files: RunFiles
) -> Report:
    """The report beside its baselines; kept with the report."""
    if not config.baseline or report.baselines:
        return report
    report = task.with_baselines(report, data, config)
    atomic_write(files.report, report.model_dump_json(indent=1))
    return report


def refuse_below_baseline(config: TrainConfig, found: Mapping[str, Gap]) -> None:
    """Warn of every baseline that is better; `RunError` where one is so significantly, unless forced."""
    for name, gap in found.items():
        (log.warning if gap.noticeable else log.info)("baseline: %s", describe_gap(name, gap))
    below = [name for name, gap in found.items() if gap.significant]
    if below and not config.force:
        raise RunError(
            f"not published: the model is significantly below its baseline ({', '.join(below)}). "
            "Another --arch or --search 10 may help; the same command with --force publishes this one"
        )


def _read_quantization(files: RunFiles) -> Quantization | None:
    if not files.quantization.exists():
        return None
    return Quantization.model_validate_json(files.quantization.read_text())


def evaluate(
    task: Task,
    candidate: Path,
    data: TaskData[Any],
    calibrated: Calibrated,
    files: RunFiles,
    precision: Precision = "fp32",
) -> Report:
    """Figures on test through the candidate bundle, golden examples replayed first; fp32's are drawn."""
    artefact = files.report_of(precision)
    if not artefact.exists():
        plots = files.plots if precision == "fp32" else files.plots / precision
        plots.mkdir(parents=True, exist_ok=True)
        report = task.evaluate(Predictor.open(candidate, precision), data, calibrated, plots)
        atomic_write(artefact, report.model_dump_json(indent=1))
    return Report.model_validate_json(artefact.read_text())
