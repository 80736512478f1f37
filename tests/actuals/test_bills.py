"""Bills of every layout: each row kept, totals to the cent, what is no usage told apart."""

import gzip
import json
from datetime import date
from io import BytesIO

import boto3
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from moto import mock_aws
from pyarrow import parquet

from planner.actuals import BILL_FORMATS, ask_cost_explorer, by_charge, charge_of, days, read_bill
from planner.errors import PlannerError
from tests.builders.written import CE_RESULTS, GCP_ROW

BILLED = (
    ("Amazon Elastic Compute Cloud $0.384 per On Demand Linux m6i.2xlarge Instance Hour", "compute"),
    ("Elastic Load Balancing $0.0225 per Application LoadBalancer-hour (or partial)", "load_balancer"),
    ("Amazon Virtual Private Cloud $0.005 per In-use public IPv4 address per hour", "public_ipv4"),
    ("Amazon Elastic Compute Cloud $0.045 per NAT Gateway Hour", "nat"),
    ("Amazon Elastic Compute Cloud $0.08 per GB-month of General Purpose (gp3) storage", "block_storage"),
    ("Amazon Simple Storage Service $0.023 per GB - first 50 TB / month of storage used", "object_storage"),
    ("Management and Governance AmazonCloudWatch $0.50 per GB log data ingested", "logs"),
    ("Management and Governance AmazonCloudWatch $0.30 per metric-month", "metrics"),
)
FOCUS = {
    "BilledCost": ["10.5", "0", "3.25", "-4", "NULL", "7"],
    "EffectiveCost": ["10.5", "6", "0", "-4", "1.5", "7"],
    "ListCost": ["10.5", "9", "3.25", "-4", "NULL", "7"],
    "BillingCurrency": ["USD"] * 6,
    "ChargeCategory": ["Usage", "Usage", "Purchase", "Credit", "Usage", "Tax"],
    "ChargeClass": ["", "", "", "", "", ""],
    "ChargeFrequency": ["Usage-Based", "Usage-Based", "Recurring", "One-Time", "Usage-Based", "One-Time"],
    "ChargePeriodStart": ["2027-01-01T00:00:00Z"] * 3 + ["2027-01-05 00:00:00"] * 3,
    "ChargePeriodEnd": ["2027-01-02T00:00:00Z"] * 3 + ["2027-01-06 00:00:00"] * 3,
    "ProviderName": ["AWS"] * 6,
    "RegionId": ["us-east-1"] * 6,
    "ServiceName": ["Amazon Elastic Compute Cloud"] * 6,
    "ChargeDescription": ["m6i.2xlarge", "m6i.2xlarge", "RI fee", "Promotion", "RI left", "Tax"],
    "PricingCategory": ["Dynamic", "Committed", "Standard", "", "Committed", ""],
    "CommitmentDiscountId": ["", "ri-1", "ri-1", "", "ri-1", ""],
    "CommitmentDiscountStatus": ["", "Used", "", "", "Unused", ""],
    "PricingQuantity": ["24", "24", "744", "NULL", "3", ""],
    "PricingUnit": ["Hours", "Hours", "Hours", "NULL", "Hours", ""],
    "Tags": ['{"Service": "web", "owner": "shop"}', "NULL", "", "", "", ""],
}
CUR1 = {
    "lineItem/LineItemType": [
        *("Usage", "DiscountedUsage", "RIFee", "SavingsPlanCoveredUsage", "SavingsPlanNegation"),
        *("SavingsPlanRecurringFee", "Tax", "Credit", "Refund"),
    ],
    "lineItem/UsageType": ["BoxUsage:m6i.2xlarge", "BoxUsage:m6i.2xlarge", "HeavyUsage:m6i.2xlarge"]
    + ["BoxUsage:m6i.xlarge"] * 2
    + ["ComputeSP:1yrNoUpfront", "", "", ""],
    "lineItem/UsageStartDate": ["2027-01-01T00:00:00Z"] * 9,
    "lineItem/UsageEndDate": ["2027-01-02T00:00:00Z"] * 9,
    "lineItem/UnblendedCost": ["9.216", "0", "180.00", "4.608", "-4.608", "96", "19.5", "-5", "-1.25"],
    "lineItem/UsageAmount": ["24", "24", "744", "24", "24", "24", "", "", ""],
    "lineItem/CurrencyCode": ["USD"] * 9,
    "reservation/ReservationARN": ["", "arn:ri", "arn:ri", "", "", "", "", "", ""],
    "reservation/EffectiveCost": ["", "5.8", "", "", "", "", "", "", ""],
    "reservation/UnusedRecurringFee": ["", "", "12", "", "", "", "", "", ""],
    "reservation/UnusedAmortizedUpfrontFeeForBillingPeriod": ["", "", "0", "", "", "", "", "", ""],
    "savingsPlan/SavingsPlanEffectiveCost": ["", "", "", "3.2", "", "", "", "", ""],
    "savingsPlan/TotalCommitmentToDate": ["", "", "", "", "", "96", "", "", ""],
    "savingsPlan/UsedCommitment": ["", "", "", "", "", "90", "", "", ""],
    "product/instanceType": ["m6i.2xlarge", "m6i.2xlarge", "", "m6i.xlarge", "m6i.xlarge", "", "", "", ""],
    "product/region": ["us-east-1"] * 9,
    "resourceTags/user:service": ["web", "web", "", "api", "api", "", "", "", ""],
}
AZURE = {
    "Date": ["01/02/2027", "01/03/2027", "01/03/2027", "01/04/2027"],
    "ChargeType": ["Usage", "Usage", "Usage", "Refund"],
    "PricingModel": ["OnDemand", "Spot", "OnDemand", ""],
    "MeterCategory": ["Virtual Machines", "Virtual Machines", "Bandwidth", "Virtual Machines"],
    "MeterName": ["D8 v5", "D8 v5 Spot", "Standard Data Transfer Out", "D8 v5"],
    "ResourceLocation": ["West Europe"] * 4,
    "Quantity": ["2.4", "24", "100", "0"],
    "UnitOfMeasure": ["10 Hours", "1 Hour", "1 GB", "1 Hour"],
    "CostInBillingCurrency": ["9.2", "1.1", "8.7", "-3"],
    "BillingCurrencyCode": ["EUR"] * 4,
    "AdditionalInfo": ['{"ServiceType":"Standard_D8s_v5","VCPUs":8}', '{"ServiceType":"Standard_D8s_v5"}', "", ""],
    "Tags": ['"service": "web","env": "prod"', '"service": "web"', "", ""],
}


def cur2():
    """The same report under the names of version 2, with its maps."""
    names = {
        "lineItem/": "line_item_",
        "reservation/": "reservation_",
        "savingsPlan/": "savings_plan_",
    }
    frame = pd.DataFrame(CUR1)
    found = frame[[c for c in frame if c.startswith(tuple(names))]]
    found = found.rename(columns=lambda c: c.replace("/", "_").lower())
    snake = {c: c for c in found}
    for old in frame:
        lead = next((n for n in names if old.startswith(n)), None)
        if lead:
            words = "".join("_" + x.lower() if x.isupper() else x for x in old[len(lead) :]).replace("_a_r_n", "_arn")
            snake[old.replace("/", "_").lower()] = names[lead] + words.strip("_")
    found = found.rename(columns=snake)
    products = zip(frame["product/instanceType"], frame["product/region"], strict=True)
    tags = frame["resourceTags/user:service"]
    return found.assign(
        product=[{"instance_type": t, "region": r} for t, r in products],
        resource_tags=[{"user_service": t} for t in tags],
    )


def written(folder, columns, name="bill.csv"):
    pd.DataFrame(columns).to_csv(folder / name, index=False)
    return folder / name


def test_focus_is_read_row_by_row(tmp_path):
    found = read_bill(written(tmp_path, FOCUS))
    assert found["billed_cost_usd"].tolist() == [10.5, 0, 3.25, -4, 0, 7]
    assert found["effective_cost_usd"].sum() == 21
    assert found["charge"].tolist() == ["compute", "compute", "commitment_fee", "credit", "commitment_unused", "tax"]
    assert found["charge_category"].tolist() == ["usage", "usage", "purchase", "credit", "usage", "tax"]
    assert found["purchase_option"].tolist() == [
        "spot",
        "committed",
        "committed",
        "on_demand",
        "committed",
        "on_demand",
    ]
    assert json.loads(found["tags"][0]) == {"service": "web", "owner": "shop"}
    assert (found["resource"][0], found["unit"][0], found["quantity"][0]) == ("m6i.2xlarge", "hour", 24)
    assert found["ts"][3] == pd.Timestamp("2027-01-05", tz="UTC")


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "parquet"])
def test_a_bill_is_the_same_from_any_file(tmp_path, kind):
    plain, path = read_bill(written(tmp_path, FOCUS)), tmp_path / f"bill.{kind}"
    if kind == "parquet":
        typed = pd.DataFrame(FOCUS).replace("NULL", None)
        typed["BilledCost"] = typed["BilledCost"].astype(float)
        typed["ChargePeriodStart"] = pd.to_datetime(typed["ChargePeriodStart"], utc=True, format="ISO8601")
        typed["Tags"] = [[("Service", "web"), ("owner", "shop")], *[None] * 5]
        typed.to_parquet(path)
    elif kind == "csv.gz":
        path.write_bytes(gzip.compress(pd.DataFrame(FOCUS).to_csv(index=False).encode()))
    else:
        return
    same = ["billed_cost_usd", "charge", "ts", "row"] + (["tags"] if kind == "csv.gz" else [])
    pd.testing.assert_frame_equal(read_bill(path)[same], plain[same])


def test_both_reports_of_aws_are_one_bill(tmp_path):
    one = read_bill(written(tmp_path, CUR1))
    cur2().to_parquet(tmp_path / "two.parquet")
    two = read_bill(tmp_path / "two.parquet")
    assert one["billed_cost_usd"].sum() == pytest.approx(298.466)
    # usage 9.216 + reserved 5.8 + left 12 + covered 3.2 + left 6 + tax 19.5 - credit 5 - refund 1.25
    assert one["effective_cost_usd"].sum() == pytest.approx(49.466)
    assert one["charge_category"].tolist()[-3:] == ["tax", "credit", "refund"]
    assert one["charge"].tolist()[:6] == ["compute"] * 2 + ["commitment_fee"] + ["compute"] * 2 + ["commitment_fee"]
    assert one["purchase_option"].tolist()[:5] == ["on_demand"] + ["committed"] * 4
    money = ["billed_cost_usd", "effective_cost_usd", "charge", "charge_category", "resource", "region", "quantity"]
    pd.testing.assert_frame_equal(one[money], two[money])
    assert json.loads(two["tags"][0]) == json.loads(one["tags"][0]) == {"service": "web"}


def test_amortized_cost_without_its_columns_is_unknown_not_zero(tmp_path):
    lacking = {k: v for k, v in CUR1.items() if not k.startswith("reservation/Eff")}
    found = read_bill(written(tmp_path, lacking))
    assert found["effective_cost_usd"].isna().tolist() == [False, True] + [False] * 7


def test_google_rows_count_credits_in_dollars(tmp_path):
    fee = {**GCP_ROW, "sku": {"description": "Commitment v1: N2 Cpu in Netherlands for 1 Year"}, "credits": []}
    ram = {**GCP_ROW, "sku": {"description": "N2 Instance Ram running in Netherlands"}, "cost": 1.0, "credits": []}
    covered = {**GCP_ROW, "credits": [{"amount": -2.0, "type": "COMMITTED_USAGE_DISCOUNT"}]}
    tax = {**GCP_ROW, "cost_type": "tax", "sku": {"description": ""}, "cost": 0.4, "credits": []}
    rows = [GCP_ROW, fee, ram, covered, tax]
    for path, text in (
        (tmp_path / "a.json", json.dumps(rows)),
        (tmp_path / "b.jsonl", "\n".join(map(json.dumps, rows))),
    ):
        path.write_text(text, encoding="utf-8")
        found = read_bill(path)
        assert found["billed_cost_usd"].tolist() == pytest.approx([1.875, 2.5, 1.25, 0, 0.5])
        assert found["charge"].tolist() == ["compute", "commitment_fee", "compute", "compute", "tax"]
        assert found["purchase_option"].tolist()[:4] == ["on_demand", "committed", "on_demand", "committed"]
        assert found["quantity"].tolist()[:4] == [2, 16, 0, 2], "hours of a machine, counted once"
        assert found["effective_cost_usd"].isna().all(), "the export has no amortized figure"
    nested = pd.DataFrame(rows)
    nested.to_parquet(tmp_path / "c.parquet")
    assert read_bill(tmp_path / "c.parquet")["billed_cost_usd"].sum() == pytest.approx(6.125)


def test_azure_is_read_in_its_currency_or_dollars(tmp_path):
    with pytest.raises(PlannerError, match=r"not in USD.*EUR.*--usd-per EUR=") as caught:
        read_bill(written(tmp_path, AZURE))
    assert "bill.csv" in str(caught.value)
    found = read_bill(written(tmp_path, AZURE), usd_per={"EUR": 2.0})
    assert found["billed_cost_usd"].sum() == pytest.approx(32)
    assert found["quantity"].tolist()[:3] == [24, 24, 100]
    assert found["resource"].tolist()[:2] == ["Standard_D8s_v5"] * 2
    assert (found["region"] == "westeurope").all()
    assert found["charge"].tolist()[2] == "egress"
    assert found["charge_category"].tolist()[3] == "refund"
    assert found["ts"][0] == pd.Timestamp("2027-01-02", tz="UTC")
    assert json.loads(found["tags"][0])["env"] == "prod"
    in_usd = read_bill(written(tmp_path, AZURE | {"costInUsd": ["1", "2", "3", "-1"]}))
    assert in_usd["billed_cost_usd"].sum() == 5


def test_the_two_azure_files_each_know_their_own_view(tmp_path):
    held = AZURE | {"PricingModel": ["Reservation", "Spot", "OnDemand", ""], "BillingCurrencyCode": ["USD"] * 4}
    amortized = read_bill(written(tmp_path, held))
    assert amortized["effective_cost_usd"].sum() == 16
    assert amortized["billed_cost_usd"].isna().tolist() == [True, False, False, False]
    actual = read_bill(written(tmp_path, held | {"CostInBillingCurrency": ["0", "1.1", "8.7", "-3"]}))
    assert actual["billed_cost_usd"].sum() == pytest.approx(6.8)
    assert actual["effective_cost_usd"].isna().tolist() == [True, False, False, False]


def test_a_saved_answer_of_cost_explorer(tmp_path):
    path = tmp_path / "ce.json"
    groups = [{"Type": "DIMENSION", "Key": "USAGE_TYPE"}, {"Type": "TAG", "Key": "service"}]
    answer = {"GroupDefinitions": groups, "ResultsByTime": CE_RESULTS}
    path.write_text(json.dumps(answer), encoding="utf-8")
    found = read_bill(path)
    assert (len(found), days(found)) == (6, 2)
    assert found["billed_cost_usd"].sum() == pytest.approx(25.532)
    assert found["resource"].tolist()[:3] == ["m6i.2xlarge", "", "g6.xlarge"]
    assert found["purchase_option"].tolist()[:3] == ["on_demand", "on_demand", "spot"]
    path.write_text(json.dumps(answer | {"NextPageToken": "x"}), encoding="utf-8")
    with pytest.raises(PlannerError, match="one page of several"):
        read_bill(path)


@mock_aws
def test_the_account_is_asked_for_usage_and_for_the_rest():
    client = boto3.client("ce", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="y")
    tax = {
        "TimePeriod": {"Start": "2027-01-02", "End": "2027-01-03"},
        "Groups": [{"Keys": ["Tax", "service$"], "Metrics": {"UnblendedCost": {"Amount": "4.8", "Unit": "USD"}}}],
    }
    import requests

    queue = {"results": [{"ResultsByTime": r, "GroupDefinitions": []} for r in (CE_RESULTS, [tax])]}
    requests.post("http://motoapi.amazonaws.com/moto-api/static/ce/cost-and-usage-results", json=queue, timeout=5)
    found = ask_cost_explorer(date(2027, 1, 1), date(2027, 1, 3), client=client)
    assert found["billed_cost_usd"].sum() == pytest.approx(25.532 + 4.8)
    assert found["charge_category"].tolist()[-1] == "tax"
    assert json.loads(found["tags"][0]) == {"service": "web"}


class Pages:
    """Cost Explorer that answers in pages, or gives the same page for ever."""

    def __init__(self, last):
        self.last, self.calls = last, 0

    def get_cost_and_usage(self, **asked):
        self.calls += 1
        page = int(asked.get("NextPageToken", 0))
        answer = {"ResultsByTime": CE_RESULTS[:1], "GroupDefinitions": asked["GroupBy"]}
        return answer if page == self.last else answer | {"NextPageToken": str(min(page + 1, 3))}


def test_all_pages_are_asked_for_and_never_for_ever():
    found = ask_cost_explorer(date(2027, 1, 1), date(2027, 1, 2), client=(pages := Pages(2)))
    assert (pages.calls, len(found)) == (6, 18)
    with pytest.raises(PlannerError, match="again and again"):
        ask_cost_explorer(date(2027, 1, 1), date(2027, 1, 2), client=Pages(-1))


def test_a_folder_is_one_bill_of_one_layout(tmp_path):
    for month in ("01", "02"):
        begun = [stamp.replace("2027-01", f"2027-{month}") for stamp in FOCUS["ChargePeriodStart"]]
        written(tmp_path, FOCUS | {"ChargePeriodStart": begun}, f"{month}.csv")
    (tmp_path / "report-Manifest.json").write_text('{"assemblyId": "a", "columns": []}', encoding="utf-8")
    assert read_bill(tmp_path)["billed_cost_usd"].sum() == pytest.approx(2 * 16.75)
    written(tmp_path, CUR1, "c.csv")
    with pytest.raises(PlannerError, match="several layouts"):
        read_bill(tmp_path)


HOUR = "{i},{cost},2026-10-0{i}T00:00:00Z,USD,Usage,BoxUsage:m6i.2xlarge\n"
LINES = "identity/LineItemId,lineItem/UnblendedCost,lineItem/UsageStartDate,lineItem/CurrencyCode,lineItem/LineItemType"
LINES += ",lineItem/UsageType\n"


def parts_of(folder, *files):
    """A report in parts: the numbers of the lines that each file holds."""
    for at, numbers in enumerate(files):
        text = LINES + "".join(HOUR.format(i=i, cost=2**i) for i in numbers)
        (folder / f"{at}.csv").write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    "files",
    [([1, 2], [1, 2]), ([1, 2], [1, 2, 3]), ([1, 2, 3, 4, 5], [4, 5]), ([1], [1, 2], [1, 2, 3])],
    ids=["a copy", "two versions of a report", "a part again", "each from the first of the month"],
)
def test_money_that_stands_in_two_files_of_a_folder_is_refused_and_the_remedy_works(tmp_path, files):
    parts_of(tmp_path, *files)
    while len(list(tmp_path.iterdir())) > 1:
        with pytest.raises(PlannerError, match="would count twice"):
            read_bill(tmp_path)
        whole = max(tmp_path.iterdir(), key=lambda p: (p.stat().st_size, p.name))
        next(p for p in sorted(tmp_path.iterdir()) if p != whole).unlink()
    assert read_bill(tmp_path)["billed_cost_usd"].sum() == sum(2**i for i in set().union(*files))


def constant(rows, **cells):
    """A Parquet file whose columns hold one text each, in a few hundred bytes."""
    index, out = pa.array(np.zeros(rows, dtype="int32")), BytesIO()
    columns = {name: pa.DictionaryArray.from_arrays(index, pa.array([text])) for name, text in cells.items()}
    parquet.write_table(pa.table(columns), out, compression="zstd")
    return out.getvalue()


@pytest.mark.parametrize(
    ("rows", "text"),
    [(40_000_000, "a"), (300_000, "b" * 1000), (3_000, "c" * 100_000)],
    ids=["rows", "cells", "a cell"],
)
def test_a_small_file_that_unpacks_to_a_huge_bill_is_refused_before_it_is_unpacked(tmp_path, rows, text):
    raw = constant(rows, BilledCost="1", ServiceName=text)
    assert len(raw) < 1 << 18
    (tmp_path / "bill.parquet").write_bytes(raw)
    with pytest.raises(PlannerError, match=r"the bill is too large.*Give one month"):
        read_bill(tmp_path / "bill.parquet")
    (tmp_path / "bill.parquet").write_bytes(constant(1000, BilledCost="1", ServiceName="EC2"))
    assert read_bill(tmp_path / "bill.parquet")["billed_cost_usd"].sum() == 1000


def test_parts_of_a_report_with_rows_that_are_alike_are_one_bill(tmp_path):
    parts_of(tmp_path, [1, 1, 1, 2], [1, 1, 3, 4])  # machines that differ in nothing the report shows
    assert read_bill(tmp_path)["billed_cost_usd"].sum() == 2 * 5 + 4 + 8 + 16


@pytest.mark.parametrize(("told", "charge"), BILLED)
def test_words_of_a_bill_name_its_charge(told, charge):
    assert charge_of(f"Usage {told}") == charge


def test_a_real_bill_is_told_by_charge(reference):
    path = reference("focus") / "focus_1_0_sample_a.csv"
    found, rows = read_bill(path), pd.read_csv(path, dtype=str)
    known = {"compute", "egress", "block_storage", "object_storage", "load_balancer", "public_ipv4"}
    assert known <= set(by_charge(found))
    assert len(found) == len(rows)
    # rows of one hour of a balancer bear the public price
    hours = found[rows["ChargeDescription"].str.contains("LoadBalancer-hour") & (found["quantity"].between(1, 1.001))]
    assert len(hours)
    price = pd.to_numeric(rows.loc[hours.index, "ListUnitPrice"])
    assert hours["billed_cost_usd"].to_numpy() == pytest.approx(price.to_numpy(), rel=1e-3)


CUR = "lineItem/UnblendedCost,lineItem/UsageStartDate,lineItem/CurrencyCode,lineItem/LineItemType,lineItem/UsageType\n"


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_a_report_is_read_with_the_marks_of_any_country(tmp_path, mark):
    text = CUR + "1.5,2026-10-01T00:00:00Z,USD,Usage,BoxUsage:m6i.2xlarge\n"
    (tmp_path / "cur.csv").write_text(text.replace(",", mark), encoding="utf-8")
    assert by_charge(read_bill(tmp_path / "cur.csv")) == {"compute": 1.5}
    (tmp_path / "cur.csv").write_text(text.replace(",", mark), encoding="utf-16")
    with pytest.raises(PlannerError, match=r"UTF-16 text.*Save it as UTF-8"):
        read_bill(tmp_path / "cur.csv")


def test_a_thin_report_is_read_too(tmp_path):
    path = tmp_path / "cur.csv"
    path.write_text(CUR + "1.5,2026-10-01T00:00:00Z,USD,Usage,BoxUsage:m6i.2xlarge\n", encoding="utf-8")
    assert by_charge(read_bill(path)) == {"compute": 1.5}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the bill is empty"),
        ("a,b\n1,2\n", "in no format this program reads.*" + ".*".join(BILL_FORMATS)),
        (CUR, "no rows"),
        (CUR + "many,2026-10-01,USD,Usage,BoxUsage\n", "row 2: lineItem/UnblendedCost is not an amount"),
        (CUR + "1,soon,USD,Usage,BoxUsage\n", "row 2: lineItem/UsageStartDate is not a date.*soon"),
        (CUR + "1,2026-10-01,EUR,Usage,BoxUsage\n", "not in USD"),
        (CUR + "1e300,2026-10-01,USD,Usage,BoxUsage\n", "is not an amount"),
        (CUR + ",2026-10-01,USD,Usage,BoxUsage\n", "row 2: lineItem/UnblendedCost is empty, and unknown is not 0"),
        ("BilledCost,ServiceName\n1,EC2\nNULL,S3\n", "row 3: BilledCost is empty"),
        ("Cost,MeterCategory,Date\n,Storage,10/01/2026\n", "row 2: Cost is empty"),
        ("cost,sku.description,credits\n,Core,\n", "row 2: cost is empty"),
        ("cost,sku.description,credits\n1,Core,[{'amount': 1}]\n", "row 2: credits is no JSON list"),
        ("Invoice date,2026-10\n\n\nSKU description,Usage amount,Cost ($)\nCore,1,2\n", "titles above.*to BigQuery"),
        ("PK\x03\x04", "zip archive or a workbook.*Unpack it first"),
        ("%PDF-1.7", "a PDF document.*cost export"),
        ('{"ResultsByTime": []}', "holds no costs"),
    ],
)
def test_a_bill_that_cannot_be_read_is_named(tmp_path, text, message):
    (tmp_path / "bill.csv").write_text(text, encoding="utf-8")
    with pytest.raises(PlannerError, match=message) as caught:
        read_bill(tmp_path / "bill.csv")
    assert "bill.csv" in str(caught.value)
