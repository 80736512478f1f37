"""``planner store``: scenarios kept with who, when and why; their states, their bridges, and
whether they still come out.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeVar

import click

from planner.cli.answer import bridge_text
from planner.errors import StoreError
from planner.export.tokens import KINDS, measure_of
from planner.scenario import Scenario
from planner.show.words import GROWTH, number, percent, table, usd

if TYPE_CHECKING:
    from planner.store import Growth, Recomputed, Revision, Store

F = TypeVar("F", bound=Callable[..., object])
MOST = 15
_address = click.option(
    "--store",
    "address",
    metavar="ADDRESS",
    help="FILE, sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE (default: PLANNER_STORE, or a file of the"
    " user).",
)
_who = click.option("--author", default="", help="Who saves (default: the user of this system).")
_age = click.option(
    "--max-price-age",
    "max_age_days",
    type=click.IntRange(1),
    default=180,
    show_default=True,
    help="Days that prices may be old where a budget stands on them.",
)


@click.group()
def store() -> None:
    """Scenarios kept as revisions: who, when, why, on which traffic and prices (extra store)."""


def opened(address: str | None) -> Store:
    """The store at an address. Raises :class:`StoreError`, also without the extra."""
    if find_spec("sqlalchemy") is None or find_spec("platformdirs") is None:
        raise StoreError("the store needs SQLAlchemy", remedy="pip install 'infra-planner[store]'")
    from planner.store import Store

    return Store(address)


@store.command()
@click.argument("scenario_file", metavar="SCENARIO.yaml", type=click.Path(dir_okay=False))
@click.option("--why", required=True, help="Why this revision: one sentence for who reads it in a year.")
@click.option("--set", "overrides", multiple=True, metavar="PATH=VALUE", help="Override a field before it is saved.")
@click.option("--paths", type=click.IntRange(2, 5000), default=200, show_default=True, help="Load paths to plan.")
@click.option("--after", type=click.IntRange(0), help="Refuse if another revision was saved since this number.")
@_who
@_age
@_address
def save(
    scenario_file: str,
    why: str,
    overrides: tuple[str, ...],
    paths: int,
    after: int | None,
    author: str,
    max_age_days: int,
    address: str | None,
) -> None:
    """Plan SCENARIO.yaml and keep it, its traffic, its prices and its plan as the next revision."""
    from planner.study import run

    place = opened(address)
    scenario = Scenario.read(scenario_file)
    scenario = scenario.override(overrides) if overrides else scenario
    study = run(scenario, paths=paths, progress=lambda stage: click.echo(f"{scenario.name}: {stage}", err=True))
    saved = place.save(study, why, author=author, after=after, max_age_days=max_age_days)
    click.echo(f"{_line(saved)}\n{place.address}")


@store.command(name="list")
@click.argument("name", required=False, default="")
@_address
def list_command(name: str, address: str | None) -> None:
    """Every revision, of one scenario NAME or of all: state, who, when, cost and why."""
    rows = [
        [
            r.label,
            r.facts.state,
            r.facts.at.replace("+00:00", "Z"),
            r.facts.author,
            usd(r.facts.monthly_mean_usd),
            r.facts.price_as_of,
            r.facts.content[:8],
            r.facts.why,
        ]
        for r in opened(address).revisions(name)
    ]
    head = ["revision", "state", "when", "who", "a month", "prices of", "content", "why"]
    click.echo(table(head, rows) if rows else "the store holds no revision")


@store.command()
@click.argument("label", metavar="NAME[@REV]")
@click.option("--yaml", "as_yaml", is_flag=True, help="Print the scenario alone, as it was saved.")
@_address
def show(label: str, as_yaml: bool, address: str | None) -> None:
    """One revision: who, when, why, what it rests on and what it costs; the newest without @REV."""
    found = opened(address).revision(label)
    click.echo(found.facts.text if as_yaml else shown(found), nl=not as_yaml)


@store.command()
@click.argument("name")
@click.argument("wanted", metavar="[idea|agreed|budgeted]", type=click.Choice(["idea", "agreed", "budgeted"]))
@click.option("--why", default="", help="Why (default: names the state).")
@_who
@_age
@_address
def state(name: str, wanted: str, why: str, author: str, max_age_days: int, address: str | None) -> None:
    """Call the newest revision of NAME agreed (an owner for every dollar) or budgeted (agreed
    before, a budget, prices young enough).
    """
    said = why or f"now {wanted}"
    click.echo(_line(opened(address).set_state(name, wanted, said, author=author, max_age_days=max_age_days)))


@store.command()
@click.argument("label", metavar="NAME[@REV]")
@click.option(
    "--prices",
    type=click.Choice(["pinned", "newest"]),
    default="pinned",
    show_default=True,
    help="Those kept with the revision, or those at hand now.",
)
@_address
def recompute(label: str, prices: str, address: str | None) -> None:
    """Work a stored plan out again: on its own prices to the cent, on the newest with the bridge of
    the difference.
    """
    place = opened(address)
    from planner.store import recompute as again

    found = place.revision(label)
    done = again(found, newest=prices == "newest", progress=lambda s: click.echo(f"{found.label}: {s}", err=True))
    click.echo(recomputed_text(done, prices))


@store.command()
@click.argument("before", metavar="NAME@A")
@click.argument("after", metavar="NAME@B")
@_address
def bridge(before: str, after: str, address: str | None) -> None:
    """From one revision to another, such as from an experiment to production: what grows a month,
    why, whose, and the unit cost of each.
    """
    place = opened(address)
    from planner.store import growth

    a, b = place.revision(before), place.revision(after)
    click.echo(growth_text(growth(a.kept, b.kept), (a.label, b.label)))


def _line(revision: Revision) -> str:
    f = revision.facts
    return f"{revision.label} ({f.state}): {usd(f.monthly_mean_usd)} a month; {f.why}"


def shown(revision: Revision) -> str:
    """A revision as text."""
    f, kept = revision.facts, revision.kept
    rows = [
        ["saved", f"{f.at.replace('+00:00', 'Z')} by {f.author}"],
        ["why", f.why],
        ["state", f.state],
        ["content", f"{f.content} (scenario, traffic, prices)"],
        ["revision", f.sha256],
        ["traffic", ", ".join(f"{name} {key[:12]}" for name, key in f.files.items())],
        ["prices", f"of {f.price_as_of}; {len(kept.prices)} of them paid"],
        ["made by", f"planner {f.made_by}, {f.paths} load paths"],
    ]
    s, by_kind = kept.summary, kept.token_costs.to_dict("records")
    costs = [
        ["a month", usd(s["monthly_mean_usd"]), "amortized"],
        ["horizon", usd(s["total_usd"]), f"P10 to P90 {usd(s['p10_usd'])} to {usd(s['p90_usd'])}"],
        ["in cash", usd(s["billed_usd"]), ""],
        *[[f"{name} {_MEASURES[m]}", usd(v), ""] for (name, m), v in kept.unit_costs().items()],
        *[[f"{r['service']} 1 million {r['token_kind']} tokens", usd(r["usd_per_1m_tokens"]), ""] for r in by_kind],
    ]
    parts = [revision.label, _plain(rows), _plain(costs), f.text.rstrip()]
    return "\n\n".join(parts)


_MEASURES = {"usd_per_1k_requests": "1,000 requests", "usd_per_1m_tokens": "1 million tokens"}


def _plain(rows: list[list[str]]) -> str:
    return table(["" for _ in rows[0]], rows, "  ").partition("\n")[2]


def recomputed_text(done: Recomputed, prices: str) -> str:
    """Whether a stored plan came out again, and if not, what moved."""
    rows = [
        ["stored", usd(done.before_usd, 2)],
        ["computed again", usd(done.after_usd, 2)],
        ["difference", usd(done.after_usd - done.before_usd, 2)],
    ]
    parts = [f"{done.revision.label} on its {prices} prices\n" + _plain(rows)]
    if done.tables:
        parts.append(f"Other tables of hardware and models than it was stored with: {', '.join(done.tables)}.")
    if done.same:
        return "\n\n".join([*parts, "Every charge of every month is the same to the cent."])
    if prices == "pinned":
        parts.append(
            f"It does not come out: made by planner {done.revision.facts.made_by}, a charge differs by"
            f" {usd(done.largest_usd, 2)}."
        )
    if len(done.moves):
        moved = done.moves.reindex(done.moves["change_share"].abs().sort_values(ascending=False).index)
        lines = [
            [r["resource"], r["purchase_option"], f"{r['before_usd']:.6g}", f"{r['after_usd']:.6g}", _change(r)]
            for r in moved.head(MOST).to_dict("records")
        ]
        parts.append("Prices that moved\n" + table(["price", "bought as", "stored", "now", "change"], lines, "  "))
    parts.append("Where the difference comes from\n" + bridge_text(done.lines))
    return "\n\n".join(parts)


def _change(row: dict[Any, Any]) -> str:
    return f"{row['change_share']:+.1%}".replace("%", " %")


def growth_text(found: Growth, names: tuple[str, str]) -> str:
    """A bridge of two revisions as text: whose money, which charges, and what a request costs."""
    rows = [
        [names[0], usd(found.before_usd), "a month"],
        [names[1], usd(found.after_usd), "a month"],
        ["difference", usd(found.after_usd - found.before_usd), _times(found.after_usd, found.before_usd)],
    ]
    owners = [
        [r["owner"] or "nobody", r["service"] or "shared", GROWTH.get(r["cause"], r["cause"]), usd(r["difference_usd"])]
        for r in found.owners.to_dict("records")
    ]
    parts = [
        _plain(rows),
        "What each service does and costs\n" + _units(found, names),
        "Whose it is\n" + table(["owner", "service", "because", "a month"], owners, "  "),
        "Where the difference comes from, a month\n" + bridge_text(found.lines),
    ]
    return "\n\n".join(parts)


def _times(after: float, before: float) -> str:
    return f"{after / before:.2f} times" if before > 0 else ""


_UNIT_TITLES = {
    "requests a month": "requests",
    "cost a month": "usd",
    "1,000 requests": "usd_per_1k_requests",
    "1 million tokens": "usd_per_1m_tokens",
    **{f"1 million {kind} tokens": measure_of(kind) for kind in KINDS},
}


def _units(found: Growth, names: tuple[str, str]) -> str:
    rows = []
    for r in found.services.to_dict("records"):
        for title, key in _UNIT_TITLES.items():
            a, b = r[f"{key}_before"], r[f"{key}_after"]
            if a == a or b == b:
                shown_as = number if key == "requests" else usd
                change = percent(b / a - 1) if a > 0 and b == b else ""
                rows.append([r["service"], title, shown_as(a), shown_as(b), change])
    return table(["service", "", *names, "change"], rows, "  ")
