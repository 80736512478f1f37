"""``planner fetch``: a history from where it is kept, to a file that every other command reads."""

from datetime import UTC, datetime, timedelta

import click

from planner.load.formats import cloudwatch, prometheus


def _instant(text: str | None, days: int) -> datetime:
    """A stated start, or so many days before now; a start without a zone is UTC."""
    if text is None:
        return datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(days=days)
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise click.UsageError(
            f"--start must be a time such as 2026-09-01 or 2026-09-01T00:00Z (got {text!r})"
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


@click.group()
def fetch() -> None:
    """A traffic history from a live service into a file."""


@fetch.command(name="prometheus")
@click.argument("address", metavar="URL")
@click.argument("query")
@click.argument("file", type=click.Path(dir_okay=False))
@click.option("--days", type=click.IntRange(1, 1000), default=56, show_default=True, help="How far back.")
@click.option("--start", metavar="TIME", help="First instant, in place of --days.")
@click.option(
    "--step", "step_s", type=click.IntRange(1, 86_400), default=300, show_default=True, help="Seconds a value."
)
@click.option("--token-env", metavar="NAME", help="Environment variable that holds a bearer token.")
def of_prometheus(
    address: str, query: str, file: str, days: int, start: str | None, step_s: int, token_env: str | None
) -> None:
    """The range query QUERY of the server at URL into FILE (JSON, as the server answers).

    Ask for a counter (http_requests_total) or sum(rate(http_requests_total[5m])).
    """
    path = prometheus.fetch(
        file, address=address, query=query, start=_instant(start, days), step_s=step_s, token_env=token_env
    )
    click.echo(f"{path} written; look at it: planner look {path}")


@fetch.command(name="cloudwatch")
@click.argument("metric", metavar="NAMESPACE/METRIC")
@click.argument("file", type=click.Path(dir_okay=False))
@click.option("--dimension", "dimensions", multiple=True, metavar="NAME=VALUE", help="Such as LoadBalancer=app/web/1.")
@click.option("--days", type=click.IntRange(1, 455), default=56, show_default=True, help="How far back.")
@click.option("--start", metavar="TIME", help="First instant, in place of --days.")
@click.option(
    "--period",
    "period_s",
    type=click.IntRange(1, 86_400),
    help="Seconds a value; by default the finest kept.",
)
@click.option("--region", help="Region of the metric.")
@click.option("--endpoint-url", metavar="URL", help="Another endpoint, such as a proxy of your own.")
def of_cloudwatch(
    metric: str,
    file: str,
    dimensions: tuple[str, ...],
    days: int,
    start: str | None,
    period_s: int | None,
    region: str | None,
    endpoint_url: str | None,
) -> None:
    """Sums of a CloudWatch metric, such as AWS/ApplicationELB/RequestCount, into FILE (JSON)."""
    namespace, _, name = metric.rpartition("/")
    if not namespace or not name:
        raise click.UsageError(f"NAMESPACE/METRIC must read AWS/ApplicationELB/RequestCount (got {metric!r})")
    pairs = [d.partition("=") for d in dimensions]
    if any(not sign for _, sign, _ in pairs):
        raise click.UsageError("--dimension must read NAME=VALUE, such as LoadBalancer=app/web/1")
    path = cloudwatch.fetch(
        file,
        namespace=namespace,
        metric=name,
        dimensions={k: v for k, _, v in pairs},
        start=_instant(start, days),
        period_s=period_s,
        region=region,
        endpoint_url=endpoint_url,
    )
    click.echo(f"{path} written; look at it: planner look {path}")
