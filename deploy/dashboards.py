"""The three Grafana dashboards, built with the Grafana Foundation SDK; `deploy.generate` writes them as JSON.

A panel whose expression may rightly have no data says "may be empty" in its description; a test holds every
other expression to returning some from a real Prometheus.
"""

from collections.abc import Sequence

from grafana_foundation_sdk.builders import common, dashboard, heatmap, prometheus, stat, table, timeseries
from grafana_foundation_sdk.models import common as kinds
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DataSourceRef,
    DataTransformerConfig,
    Threshold,
    ThresholdsConfig,
    ThresholdsMode,
    VariableRefresh,
    VariableSort,
)
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
WIDTH = 24  # of Grafana's grid

Panel = timeseries.Panel | stat.Panel | table.Panel | heatmap.Panel
Expressions = dict[str, str]
"""PromQL by legend."""


def service() -> dashboard.Dashboard:
    """Rate, errors, latency by stage, saturation, and how fast the budgets burn."""
    model = 'model=~"$model"'
    both = f'{model}, instance=~"$instance"'
    counted = 'outcome=~"success|rejected|deadline|failed"'
    board = _board("baton-service", "Baton: service", "Whether clients get their answers, and in time.")
    board = board.with_variable(_variable("model", "label_values(baton_requests_total, model)"))
    board = board.with_variable(_variable("instance", "label_values(baton_ready, instance)"))
    _row(
        board,
        "At a glance",
        4,
        _stat("Requests", "reqps", f"sum(rate(baton_requests_total{{{both}}}[$__rate_interval]))"),
        _stat(
            "Not answered",
            "percentunit",
            f'sum(rate(baton_requests_total{{{both}, outcome=~"rejected|deadline|failed"}}[$__rate_interval]))'
            f" / sum(rate(baton_requests_total{{{both}, {counted}}}[$__rate_interval]))",
            (0.001, 0.0144),
        ),
        _stat(
            "99 % of answers within",
            "s",
            f"histogram_quantile(0.99, sum by (le) (rate(baton_request_seconds_bucket{{{both}}}[$__rate_interval])))",
            (0.5, 1.0),
        ),
        _stat("In flight", "short", f"sum(baton_in_flight{{{both}}})"),
        _stat(
            "Fullest queue",
            "percentunit",
            f"max(instance_model:baton_pending_rows:ratio{{{both}}})",
            (0.5, 0.8),
        ),
        _stat("Ready replicas", "short", 'sum(baton_ready{instance=~"$instance"})'),
    )
    _row(
        board,
        "Requests",
        8,
        _lines(
            "Requests by how they ended",
            "reqps",
            {"{{outcome}}": f"sum by (outcome) (rate(baton_requests_total{{{both}}}[$__rate_interval]))"},
            stacked=True,
        ),
        _lines(
            "Turned away",
            "reqps",
            {
                "{{model}} {{reason}}": "sum by (model, reason) "
                f"(rate(baton_rejected_total{{{both}}}[$__rate_interval]))"
            },
            "queue_full: more than the replica can answer in time, 429. low_priority_full, explanations_full: "
            "the same of low priority and of :explain, which take no prediction's place. not_ready: loading or "
            "draining, 503.",
        ),
        _lines(
            "Requests by replica",
            "reqps",
            {"{{instance}}": f"sum by (instance) (rate(baton_requests_total{{{both}}}[$__rate_interval]))"},
        ),
    )
    quantile = "histogram_quantile({q}, sum by (le) (rate(baton_request_seconds_bucket{{{both}}}[$__rate_interval])))"
    _row(
        board,
        "Latency",
        8,
        _lines(
            "Request",
            "s",
            {f"p{round(q * 100)}": quantile.format(q=q, both=both) for q in (0.5, 0.95, 0.99)},
            "From the last byte of the request to the first of the answer, as the server sees it.",
        ),
        _lines(
            "Where the time goes",
            "s",
            {
                "{{stage}}": f"sum by (stage) (rate(baton_stage_seconds_sum{{{both}}}[$__rate_interval]))"
                f" / sum by (stage) (rate(baton_stage_seconds_count{{{both}}}[$__rate_interval]))"
            },
            "Mean by stage: decode, preprocess, queue, run, postprocess, encode.",
            stacked=True,
        ),
        _heatmap(
            "Request", f"sum by (le) (increase(baton_request_seconds_bucket{{{both}}}[$__rate_interval]))"
        ),
    )
    here = 'instance=~"$instance", job="baton"'
    _row(
        board,
        "Saturation",
        8,
        _lines(
            "Rows admitted, of those that may be",
            "percentunit",
            {"{{model}} {{instance}}": f"instance_model:baton_pending_rows:ratio{{{both}}}"},
            "At 100 % the next request is answered 429.",
        ),
        _lines(
            "Oldest in the queue",
            "s",
            {"{{model}} {{instance}}": f"max by (model, instance) (baton_queue_age_seconds{{{both}}})"},
        ),
        _lines(
            "Processor",
            "percentunit",
            {
                "{{instance}}": f"rate(process_cpu_seconds_total{{{here}}}[$__rate_interval]) / baton_cpus{{{here}}}",
            },
            "Of the CPUs that threads are planned for: quota or affinity.",
        ),
        _lines(
            "Throttled by the CPU limit",
            "percentunit",
            {
                "{{instance}}": "rate(baton_cgroup_cpu_throttled_periods_total[$__rate_interval])"
                " / rate(baton_cgroup_cpu_periods_total[$__rate_interval])"
            },
            "Share of the quota's periods that ended early; may be empty outside a container.",
        ),
        _lines(
            "Memory",
            "bytes",
            {
                "process {{instance}}": f"process_resident_memory_bytes{{{here}}}",
                "container {{instance}}": f"baton_cgroup_memory_bytes{{{here}}}",
                "limit {{instance}}": f"baton_cgroup_memory_limit_bytes{{{here}}}",
            },
            "The container's lines may be empty outside a container.",
        ),
    )
    _row(
        board,
        "Objectives",
        8,
        _lines(
            "Error budget: times its pace",
            "short",
            {
                f"{{{{model}}}} {window}": f"model:baton_errors:ratio_rate{window}{{{model}}} / 0.001"
                for window in ("5m", "1h", "6h")
            },
            "1 uses up a month's 0.1 % in a month; 14.4 over an hour pages, 6 over six hours too.",
        ),
        _lines(
            "Latency budget: times its pace",
            "short",
            {
                f"{{{{model}}}} {window}": f"model:baton_slow:ratio_rate{window}{{{model}}} / 0.01"
                for window in ("5m", "1h", "6h")
            },
            "1 uses up the 1 % of answers that may take over 1 s.",
        ),
        _lines(
            "Draining",
            "s",
            {"{{instance}}": 'baton_drain_seconds{instance=~"$instance"}'},
            "Seconds since a replica was told to stop.",
        ),
    )
    return board


def models() -> dashboard.Dashboard:
    """Versions, batches, the mix and confidence of the answers, and how they move."""
    model = 'model=~"$model"'
    labels = "model, version"
    board = _board("baton-models", "Baton: models", "The models that are served, and their answers.")
    board = board.with_variable(_variable("model", "label_values(baton_model_info, model)"))
    _row(
        board,
        "Versions",
        8,
        _table(
            "Served now",
            f"max by ({labels}, task, precision, provider, digest) (baton_model_info{{{model}}})",
            "provider is the one that really runs it; digest is the graph file's SHA-256.",
        ),
        _table(
            "Refused",
            f"max by ({labels}) (baton_model_refused{{{model}}} == 1)",
            "Tried, found wanting, taking no traffic; may be empty, and should be. GET /v2/diagnostics says why.",
        ),
        _lines(
            "Replicas by version",
            "short",
            {"{{model}}/{{version}}": f'sum by ({labels}) (baton_model_state{{{model}, state="READY"}})'},
            "Two versions of a model at once: a roll-out under way, or a canary.",
        ),
    )
    _row(
        board,
        "Traffic by version",
        8,
        _lines(
            "Requests",
            "reqps",
            {
                "{{model}}/{{version}}": f"sum by ({labels}) (rate(baton_requests_total{{{model}}}[$__rate_interval]))"
            },
        ),
        _lines(
            "Not answered",
            "percentunit",
            {
                "{{model}}/{{version}}": f"sum by ({labels}) (rate(baton_requests_total"
                f'{{{model}, outcome=~"rejected|deadline|failed"}}[$__rate_interval]))'
                f" / sum by ({labels}) (rate(baton_requests_total{{{model}}}[$__rate_interval]))"
            },
            "Compare it first between a canary and the version that it is to replace.",
        ),
        _lines(
            "99 % of answers within",
            "s",
            {
                "{{model}}/{{version}}": f"histogram_quantile(0.99, sum by ({labels}, le) "
                f"(rate(baton_request_seconds_bucket{{{model}}}[$__rate_interval])))"
            },
        ),
    )
    _row(
        board,
        "Batches",
        8,
        _lines(
            "Rows of a run, mean",
            "short",
            {
                "{{model}}/{{version}}": f"sum by ({labels}) (rate(baton_batch_rows_sum{{{model}}}[$__rate_interval]))"
                f" / sum by ({labels}) (rate(baton_batch_rows_count{{{model}}}[$__rate_interval]))"
            },
            "It grows by itself under load; 1 means that runs keep up with requests.",
        ),
        _heatmap(
            "Rows of a run",
            f"sum by (le) (increase(baton_batch_rows_bucket{{{model}}}[$__rate_interval]))",
            "",
        ),
        _lines(
            "Runs",
            "ops",
            {
                "{{model}}/{{version}}": f"sum by ({labels}) "
                f"(rate(baton_batch_rows_count{{{model}}}[$__rate_interval]))"
            },
        ),
    )
    of_label = "sum by (model, label) (rate(baton_predictions_total{{{model}}}[{window}]))"
    of_all = "sum by (model) (rate(baton_predictions_total{{{model}}}[{window}]))"
    share = f"{of_label} / on (model) group_left () {of_all}"
    recent, usual = (share.format(model=model, window=window) for window in ("1h", "1d"))
    _row(
        board,
        "Answers",
        9,
        _lines(
            "Mix of labels",
            "percentunit",
            {"{{model}} {{label}}": share.format(model=model, window="$__rate_interval")},
            "Of tasks that answer with a label; a model's first 64 labels, the rest as other.",
            stacked=True,
        ),
        _lines(
            "Confidence by label, mean",
            "percentunit",
            {
                "{{model}} {{label}}": "sum by (model, label) "
                f"(rate(baton_predicted_probability_total{{{model}}}[$__rate_interval]))"
                f" / sum by (model, label) (rate(baton_predictions_total{{{model}}}[$__rate_interval]))"
            },
        ),
        _lines(
            "Confidence: a tenth and half of the answers are below",
            "percentunit",
            {
                f"{{{{model}}}}/{{{{version}}}} p{round(q * 100)}": f"histogram_quantile({q}, sum by ({labels}, le) "
                f"(rate(baton_confidence_bucket{{{model}}}[$__rate_interval])))"
                for q in (0.1, 0.5)
            },
        ),
        _lines(
            "Drift: how far the mix of the last hour is from the last day's",
            "percentunit",
            {"{{model}}": f"0.5 * sum by (model) (abs(({recent}) - ({usual})))"},
            "Total variation distance: 0 the same, 1 nothing in common. A change of the inputs moves it first.",
        ),
        _lines(
            "Drift: how far the last window is from training",
            "short",
            {
                "{{model}}/{{version}} {{feature}}": "max by (model, version, feature) "
                f"(baton_drift_psi{{{model}}})"
            },
            "Population stability index against the bundle's reference: below 0.1 as in training, above 0.25 "
            "another world; may be empty until a first window of requests is full.",
        ),
        _lines(
            "Windows in alarm",
            "percentunit",
            {
                "{{model}}/{{version}}": f"sum by ({labels}) (increase(baton_drift_alarms_total{{{model}}}[1h]))"
                f" / sum by ({labels}) (increase(baton_drift_windows_total{{{model}}}[1h]))"
            },
            "Of the last hour's; without drift it is one in a thousand. May be empty where no bundle has a reference.",
        ),
        _lines(
            "Outliers",
            "percentunit",
            {
                "{{model}}/{{version}}": f"sum by ({labels}) (rate(baton_outliers_total{{{model}}}[$__rate_interval]))"
                f" / sum by ({labels}) (rate(baton_confidence_count{{{model}}}[$__rate_interval]))"
            },
            "Inputs unlike those of training, by the energy score; a model's own threshold is in its card.",
        ),
        _lines(
            "Words or items that the model does not know",
            "percentunit",
            {
                "{{model}}/{{version}}": f"sum by ({labels}) "
                f"(rate(baton_input_unknown_tokens_total{{{model}}}[$__rate_interval]))"
                f" / sum by ({labels}) (rate(baton_input_tokens_total{{{model}}}[$__rate_interval]))"
            },
            "Of texts and histories; may be empty where no model reads any.",
        ),
        _lines(
            "Texts cut short",
            "ops",
            {
                "{{model}}/{{version}}": f"sum by ({labels}) "
                f"(rate(baton_input_truncated_total{{{model}}}[$__rate_interval]))"
            },
            "Longer than the model reads; may be empty where no model reads texts.",
        ),
    )
    return board


def training() -> dashboard.Dashboard:
    """Runs while they run, from `python -m training.fit.run_metrics`, and the scores of published versions."""
    run = 'run=~"$run"'
    board = _board(
        "baton-training",
        "Baton: training runs",
        "Runs while they learn, and scores of published versions.",
    )
    board = board.with_variable(_variable("run", "label_values(baton_run_step, run)"))
    board = board.with_variable(
        _variable("metric", 'label_values(baton_run_metric{metric=~"val/.*"}, metric)')
    )
    _row(
        board,
        "Runs",
        8,
        _table(
            "Runs",
            f"max by (run, task, data, arch) (baton_run_info{{{run}}})",
        ),
        _lines(
            "Steps",
            "ops",
            {"{{run}}": f"rate(baton_run_step{{{run}}}[$__rate_interval])"},
            "Optimiser steps a second; 0 for a run that is over.",
        ),
        _lines(
            "Silent for",
            "s",
            {
                "{{run}}": f"time() - baton_run_updated_timestamp_seconds{{{run}}} and baton_run_finished{{{run}}} == 0"
            },
            "Since the last line of a run that is not finished; may be empty when every run is.",
        ),
    )
    _row(
        board,
        "Learning",
        9,
        _lines("Training loss", "short", {"{{run}}": f'baton_run_metric{{{run}, metric="train/loss"}}'}),
        _lines(
            "On validation", "short", {"{{run}} {{metric}}": f'baton_run_metric{{{run}, metric=~"$metric"}}'}
        ),
        _lines("Epoch", "short", {"{{run}}": f"baton_run_epoch{{{run}}}"}),
    )
    _row(
        board,
        "Published",
        9,
        _table(
            "Scores of the served versions, on their test splits",
            "max by (model, version, precision, metric) (baton_model_quality)",
            "As the bundles' manifests have them.",
            value=True,
        ),
        _lines(
            "Scores over time",
            "short",
            {"{{model}}/{{version}} {{metric}}": "max by (model, version, metric) (baton_model_quality)"},
            "A new version shows as a new line.",
        ),
    )
    return board


def _board(uid: str, title: str, description: str) -> dashboard.Dashboard:
    return (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags(["baton"])
        .refresh("10s")
        .time("now-30m", "now")
        .timezone("browser")
        .readonly()
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .with_variable(dashboard.DatasourceVariable("datasource").label("Source").type("prometheus"))
    )


def _variable(name: str, query: str) -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable(name)
        .label(name.capitalize())
        .datasource(SOURCE)
        .query(query)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".*")
    )


def _row(board: dashboard.Dashboard, title: str, height: int, *panels: Panel) -> None:
    """A row of panels of equal width, three or six to a line of the grid."""
    board.with_row(dashboard.Row(title))
    in_line = 6 if len(panels) == 6 else min(3, len(panels))
    for panel in panels:
        board.with_panel(panel.height(height).span(WIDTH // in_line))


def _targets(expressions: Expressions) -> list[prometheus.Dataquery]:
    return [
        prometheus.Dataquery()
        .expr(expr)
        .legend_format(legend)
        .ref_id(chr(ord("A") + place))
        .datasource(SOURCE)
        for place, (legend, expr) in enumerate(expressions.items())
    ]


def _lines(
    title: str, unit: str, expressions: Expressions, description: str = "", *, stacked: bool = False
) -> timeseries.Panel:
    panel = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .unit(unit)
        .min(0)
        .line_width(1)
        .fill_opacity(30 if stacked else 5)
        .show_points(kinds.VisibilityMode.NEVER)
        .tooltip(common.VizTooltipOptions().mode(kinds.TooltipDisplayMode.MULTI))
        .legend(
            common.VizLegendOptions()
            .display_mode(kinds.LegendDisplayMode.LIST)
            .placement(kinds.LegendPlacement.BOTTOM)
            .show_legend(True)
        )
    )
    if stacked:
        panel = panel.stacking(common.StackingConfig().mode(kinds.StackingMode.NORMAL))
    for target in _targets(expressions):
        panel = panel.with_target(target.exemplar("bucket" in str(target.build().expr)))
    return panel


def _stat(title: str, unit: str, expr: str, limits: Sequence[float] = ()) -> stat.Panel:
    """`limits`: above the first it is yellow, above the second red."""
    colours = ("green", "yellow", "red")
    steps = [
        Threshold(value=value, color=color) for value, color in zip((None, *limits), colours, strict=False)
    ]
    return (
        stat.Panel()
        .title(title)
        .datasource(SOURCE)
        .unit(unit)
        .graph_mode(kinds.BigValueGraphMode.AREA)
        .thresholds(_Thresholds(steps))
        .with_target(_targets({"": expr})[0])
    )


class _Thresholds(dashboard.ThresholdsConfig):
    """Absolute steps in one call."""

    def __init__(self, steps: list[Threshold]) -> None:
        super().__init__()
        self._internal = ThresholdsConfig(mode=ThresholdsMode.ABSOLUTE, steps=steps)


def _table(title: str, expr: str, description: str = "", *, value: bool = False) -> table.Panel:
    """The labels of an expression; `value`: its values too."""
    target = _targets({"": expr})[0].instant().format(PromQueryFormat.TABLE)
    hidden = {"Time": True} if value else {"Time": True, "Value": True}
    shown = DataTransformerConfig(id_val="organize", options={"excludeByName": hidden})
    panel = table.Panel().title(title).description(description).datasource(SOURCE)
    return panel.with_target(target).with_transformation(shown)


def _heatmap(title: str, expr: str, unit: str = "s") -> heatmap.Panel:
    target = _targets({"{{le}}": expr})[0].format(PromQueryFormat.HEATMAP)
    color = heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Spectral").steps(64)
    panel = heatmap.Panel().title(f"{title}, by bucket").datasource(SOURCE).color(color).with_target(target)
    return panel.y_axis(heatmap.YAxisConfig().unit(unit)) if unit else panel
