"""The dashboard as code: `python -m infra.grafana.dashboard` prints its JSON, always the same for the same code."""

import sys
import warnings
from dataclasses import dataclass

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the SDK's module warns of itself when it is imported
    from grafana_foundation_sdk.builders import dashboard as dashboards
    from grafana_foundation_sdk.builders import prometheus, timeseries
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.models.dashboard import DataSourceRef

_SOURCE = DataSourceRef(type_val="prometheus", uid="clawdeploy-prometheus")
_SPAN, _HEIGHT = 8, 8


@dataclass(frozen=True)
class Panel:
    """One graph: what it shows, in which unit (Grafana's word), and its queries with their legends."""

    title: str
    unit: str
    queries: tuple[tuple[str, str], ...]


def _rate(metric: str, by: str, *, window: str = "5m") -> tuple[str, str]:
    legend = " ".join(f"{{{{{label}}}}}" for label in by.split(", "))
    return f"sum by ({by}) (rate({metric}[{window}]))", legend


_ANSWERED_AT_ONCE = '{route!~".*/agent/heartbeat"}'


def _quantile(metric: str, by: str, quantile: float = 0.95, *, only: str = "") -> tuple[str, str]:
    return (
        f"histogram_quantile({quantile}, sum by ({by}, le) (rate({metric}_bucket{only}[5m])))",
        f"{{{{{by}}}}} p{quantile:.0%}",
    )


ROWS: dict[str, tuple[Panel, ...]] = {
    "Is everything there?": (
        Panel("Services", "bool_on_off", (('up{job="clawdeploy"}', "{{service}}"),)),
        Panel(
            "Database and broker",
            "bool_on_off",
            (
                ("min by (service) (clawdeploy_database_up)", "{{service}} database"),
                ("min by (service) (clawdeploy_broker_connected)", "{{service}} broker"),
            ),
        ),
        Panel(
            "Disk left where agents live",
            "percentunit",
            (("min by (volume) (clawdeploy_disk_free_bytes / clawdeploy_disk_size_bytes)", "{{volume}}"),),
        ),
    ),
    "Requests": (
        Panel("Requests", "reqps", (_rate("clawdeploy_http_requests_total", "service, status"),)),
        Panel("Requests by route", "reqps", (_rate("clawdeploy_http_requests_total", "method, route"),)),
        Panel(
            "Time to answer",
            "s",
            (_quantile("clawdeploy_http_request_duration_seconds", "service", only=_ANSWERED_AT_ONCE),),
        ),
    ),
    "Events": (
        Panel(
            "Published and applied",
            "ops",
            (
                ("sum by (service) (rate(clawdeploy_events_published_total[5m]))", "{{service}} published"),
                ("sum by (service, kind) (rate(clawdeploy_events_applied_total[5m]))", "{{service}} {{kind}}"),
            ),
        ),
        Panel(
            "Oldest unpublished event",
            "s",
            (("max by (service) (clawdeploy_oldest_unpublished_event_age_seconds)", "{{service}}"),),
        ),
        Panel("Unpublished events", "short", (("max by (service) (clawdeploy_unpublished_events)", "{{service}}"),)),
        Panel(
            "Consumer lag",
            "short",
            (("sum by (service, topic) (clawdeploy_consumer_lag_records)", "{{service}} {{topic}}"),),
        ),
        Panel(
            "Parked and dead",
            "short",
            (("sum by (service, state) (clawdeploy_parked_events)", "{{service}} {{state}}"),),
        ),
        Panel(
            "Silence of the relays",
            "s",
            (("time() - max by (topic) (clawdeploy_last_tick_timestamp_seconds > 0)", "{{topic}}"),),
        ),
    ),
    "Operations and providers": (
        Panel("Operations ended", "ops", (_rate("clawdeploy_operations_ended_total", "kind, result"),)),
        Panel("Steps", "ops", (_rate("clawdeploy_operation_steps_total", "step, result"),)),
        Panel("Time of a step", "s", (_quantile("clawdeploy_operation_step_duration_seconds", "step"),)),
        Panel("Calls to providers", "ops", (_rate("clawdeploy_provider_calls_total", "provider, result"),)),
        Panel("Time of a call", "s", (_quantile("clawdeploy_provider_call_duration_seconds", "provider"),)),
        Panel(
            "Running, and to be cleaned up",
            "short",
            (
                ("sum(clawdeploy_operations_running)", "operations"),
                ("sum by (provider, state) (clawdeploy_servers)", "{{provider}} {{state}}"),
                ("max(clawdeploy_cleanup_debts)", "debts"),
            ),
        ),
    ),
    "Agents and money": (
        Panel("Probes", "ops", (_rate("clawdeploy_monitor_probes_total", "result"),)),
        Panel(
            "Time of a probe",
            "s",
            (
                (
                    "histogram_quantile(0.95, sum by (le) (rate(clawdeploy_monitor_probe_duration_seconds_bucket[5m])))",
                    "p95",
                ),
            ),
        ),
        Panel("Meters that run", "short", (("max by (meter) (clawdeploy_billing_open_meters)", "{{meter}}"),)),
        Panel(
            "Money booked in an hour",
            "currencyUSD",
            (("sum by (book, meter) (increase(clawdeploy_billing_metered_usd_total[1h]))", "{{book}} {{meter}}"),),
        ),
        Panel(
            "Cost of the servers that run, per hour",
            "currencyUSD",
            (("max by (book) (clawdeploy_billing_metered_usd_per_hour)", "{{book}}"),),
        ),
        Panel("Readings of LLM keys", "ops", (_rate("clawdeploy_billing_key_readings_total", "result"),)),
    ),
    "Processes": (
        Panel("Memory", "bytes", (("process_resident_memory_bytes", "{{service}}"),)),
        Panel("Processor", "percentunit", (("rate(process_cpu_seconds_total[5m])", "{{service}}"),)),
        Panel(
            "Change of keys",
            "short",
            (
                ("max(clawdeploy_sealing_keys)", "sealing keys kept"),
                ('max by (key) (clawdeploy_encrypted_rows{key!="current"})', "rows under {{key}}"),
            ),
        ),
        Panel("Open files", "short", (("process_open_fds / process_max_fds", "{{service}}"),)),
    ),
}


def build() -> str:
    """The dashboard's JSON."""
    board = (
        dashboards.Dashboard("ClawDeploy")
        .uid("clawdeploy")
        .tags(["clawdeploy"])
        .refresh("30s")
        .time("now-3h", "now")
        .timezone("browser")
    )
    for title, panels in ROWS.items():
        board = board.with_row(dashboards.Row(title))
        for panel in panels:
            board = board.with_panel(_graph(panel))
    return JSONEncoder(sort_keys=True, indent=2).encode(board.build())


def _graph(panel: Panel) -> timeseries.Panel:
    graph = (
        timeseries.Panel().title(panel.title).unit(panel.unit).span(_SPAN).height(_HEIGHT).datasource(_SOURCE).min(0)
    )
    for number, (expression, legend) in enumerate(panel.queries):
        query = prometheus.Dataquery().expr(expression).legend_format(legend).ref_id(chr(ord("A") + number))
        graph = graph.with_target(query)
    return graph


if __name__ == "__main__":
    sys.stdout.write(build() + "\n")
