"""Variables of Terraform (``terraform.tfvars.json``): what to run, what to sign, who answers."""

from typing import TYPE_CHECKING, Any

from planner.operate.figures import Figures, pool_name

if TYPE_CHECKING:
    from planner.study import Study

_POOL = ("min_instances", "mean_instances", "max_instances", "max_vcpus")
_REPLICAS = ("min_replicas", "max_replicas", "target_share", "target_rps", "tolerance_share", "scale_down_s")
_SIGNED = ("quantity", "upfront_usd", "hourly_usd", "term_months")


def variables(study: "Study", figures: Figures) -> dict[str, Any]:
    """The variables: scenario, zones, services with pools and replicas,
    commitments, money a month.
    """
    s = study.scenario
    return {
        "scenario": s.name,
        "state": s.state,
        "time_zone": s.time_zone,
        "zones": s.limits.zones,
        "services": {name: _service(study, name, figures) for name in s.services},
        "commitments": [
            {"commitment": row["commitment"], "region": row["region"], "payment": row["payment"], "unit": row["unit"]}
            | {key: figures[f"commitment.{k}.{key}"].value for key in _SIGNED if f"commitment.{k}.{key}" in figures}
            | {"start": f"{row['start']:%Y-%m-%dT%H:%M:%SZ}", "end": f"{row['end']:%Y-%m-%dT%H:%M:%SZ}"}
            for k, row in enumerate(study.plan.commitments.to_dict("records"), 1)
        ],
        "usd_by_month": {m: figures[f"month.{m}.usd"].value for m in figures.months},
        "p90_usd_by_month": {m: f.value for m in figures.months if (f := figures.numbers.get(f"month.{m}.p90_usd"))},
    }


def _service(study: "Study", name: str, figures: Figures) -> dict[str, Any]:
    owner, settings = study.scenario.services[name].owner, study.scenario.services[name].autoscaling
    machines = study.plan.machines()
    return {
        "owner": owner.team if owner else None,
        "on_call": owner.on_call if owner else None,
        "cost_center": owner.cost_center if owner else None,
        "policy": settings.policy,
        "autoscaler": settings.autoscaler,
        "replicas": {k: f.value for k in _REPLICAS if (f := figures.numbers.get(f"{name}.{k}"))},
        "pools": [_pool(row, figures) for row in machines[machines["service"] == name].to_dict("records")],
    }


def _pool(row: dict[Any, Any], figures: Figures) -> dict[str, Any]:
    at = pool_name(row)
    words = {str(k): row[k] for k in ("provider", "region", "instance_type", "purchase_option")}
    return words | {k: f.value for k in _POOL if (f := figures.numbers.get(f"{at}.{k}"))}
