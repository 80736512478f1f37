"""Price APIs of the clouds on the loopback interface, spoken over the real protocols, that can be
told to misbehave.
"""

import json
import threading
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit
from urllib.request import Request, urlopen
from xml.sax.saxutils import escape


class Cloud(ThreadingHTTPServer):
    """Serves until closed. ``throttle`` refuses that many calls; ``cut`` drops the connection in
    the middle of every later answer.
    """

    daemon_threads = True

    def __init__(self, handler):
        self.throttle, self.cut, self.hang, self.calls = 0, False, threading.Event(), []
        self.hang.set()
        super().__init__(("127.0.0.1", 0), handler)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    def close(self):
        self.hang.set()
        self.shutdown()
        self.server_close()


class Talk(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def body(self):
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def answer(self, text, code=200, kind="application/json", **headers):
        raw, cut = text.encode(), self.server.cut and code == 200
        self.send_response(code)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(raw)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(raw[: len(raw) // 2] if cut else raw)
        if cut:
            self.close_connection = True

    def refused(self):
        """Whether this call is one of those to refuse; waits where the server is told to hang."""
        self.server.hang.wait(30)
        self.server.throttle -= 1
        return self.server.throttle >= 0


class Azure(Cloud):
    """The Retail Prices API with pages of 100 items."""

    def __init__(self, items=()):
        self.items, self.next_host = list(items), None
        super().__init__(_AzureTalk)


class _AzureTalk(Talk):
    def do_GET(self):
        ask = parse_qs(urlsplit(self.path).query)
        self.server.calls.append(ask)
        if self.refused():
            return self.answer("{}", 429, Retry_After="0")
        _, region, _, service, *_ = ask["$filter"][0].split("'")
        found = [i for i in self.server.items if (i["armRegionName"], i["serviceName"]) == (region, service)]
        at = int(ask.get("$skip", ["0"])[0])
        link = None
        if at + 100 < len(found):
            path = self.path.split("&$skip")[0]
            link = f"{self.server.next_host or self.server.url}{path}&$skip={at + 100}"
        return self.answer(
            json.dumps(
                {
                    "BillingCurrency": "USD",
                    "Items": found[at : at + 100],
                    "NextPageLink": link,
                    "Count": len(found[at : at + 100]),
                }
            )
        )


class Aws(Cloud):
    """The Price List, Savings Plans and the two EC2 calls of a refresh; ``offers`` is the CSV offer
    file, in pieces.
    """

    def __init__(self, types=(), products=(), spot=(), plans=(), offers=()):
        self.types, self.products, self.spot, self.plans, self.offers = (
            list(types),
            list(products),
            list(spot),
            list(plans),
            offers,
        )
        self.held, self.held_plans, self.quotas, self.scores = [], [], [], []
        self.beside = None  # address of another server for the actions that this one does not know
        super().__init__(_AwsTalk)


class _AwsTalk(Talk):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Connection", "close")
        self.end_headers()
        for piece in self.server.offers:
            self.wfile.write(piece)
        self.close_connection = True

    def do_POST(self):
        raw = self.body()
        target = self.headers.get("X-Amz-Target", "").split(".")[-1]
        self.server.calls.append(target or self.path)
        if self.refused():
            return self._throttled(target)
        if target == "GetProducts":
            return self._products(json.loads(raw))
        if target == "ListPriceLists":
            return self.answer(
                json.dumps(
                    {
                        "PriceLists": [
                            {
                                "PriceListArn": "arn:aws:pricing:::price-list/aws/AmazonEC2/USD/1/us-east-1",
                                "RegionCode": "us-east-1",
                            }
                        ]
                    }
                )
            )
        if target == "GetPriceListFileUrl":
            return self.answer(json.dumps({"Url": self.server.url + "/offers.csv"}))
        if target == "ListServiceQuotas":
            return self._page(self.server.quotas, {}, "Quotas", "NextToken", 1000)
        if self.path == "/DescribeSavingsPlans":
            return self._page(self.server.held_plans, {}, "savingsPlans", "nextToken", 1000)
        if "SavingsPlansOfferingRates" in self.path:
            ask = json.loads(raw)
            return self._page(self.server.plans, ask, "searchResults", "nextToken", 1000)
        ask = {k: v[0] for k, v in parse_qs(raw.decode()).items()}
        if self.server.beside and ask["Action"] not in ("DescribeReservedInstances",):
            return self._forwarded(raw)
        return self._ec2(ask)

    def _forwarded(self, raw):
        kept = {k: v for k, v in self.headers.items() if k.lower() in ("authorization", "content-type", "x-amz-date")}
        with urlopen(Request(self.server.beside, raw, kept)) as found:
            self.answer(found.read().decode(), found.status, found.headers.get("Content-Type", "text/xml"))

    def _throttled(self, target):
        if target or self.path != "/":
            return self.answer(
                json.dumps({"__type": "ThrottlingException", "message": "Rate exceeded"}),
                400,
                x_amzn_ErrorType="ThrottlingException",
            )
        return self.answer(
            "<Response><Errors><Error><Code>RequestLimitExceeded</Code>"
            "<Message>slow</Message></Error></Errors></Response>",
            503,
            "text/xml",
        )

    def _products(self, ask):
        def fits(text):
            facts = json.loads(text)["product"]["attributes"] if text.startswith('{"product"') else {}
            return not facts or all(facts.get(f["Field"]) == f["Value"] for f in ask.get("Filters", []))

        family = {f["Field"]: f["Value"] for f in ask.get("Filters", [])}.get("productFamily", "")
        known = [
            t
            for t in self.server.products
            if fits(t) and (family or ask["ServiceCode"] != "AmazonEC2" or "volumeApiName" not in t)
        ]
        if ask["ServiceCode"] != "AmazonEC2":
            known = [t for t in known if "transferType" in t]
        self._page(
            known,
            {"maxResults": ask.get("MaxResults", 100), "nextToken": ask.get("NextToken")},
            "PriceList",
            "NextToken",
            100,
        )

    def _page(self, found, ask, name, token, most):
        at, size = int(ask.get("nextToken") or 0), min(ask.get("maxResults") or most, most)
        more = {token: str(at + size)} if at + size < len(found) else {}
        self.answer(json.dumps({name: found[at : at + size], **more}))

    def _ec2(self, ask):
        action = ask["Action"]
        known = {
            "DescribeInstanceTypes": (self.server.types, "InstanceTypes"),
            "DescribeSpotPriceHistory": (self.server.spot, "SpotPriceHistory"),
            "GetSpotPlacementScores": (self.server.scores, "SpotPlacementScores"),
            "DescribeReservedInstances": (self.server.held, "ReservedInstances"),
        }
        found, name = known[action]
        at, size = int(ask.get("NextToken") or 0), int(ask.get("MaxResults") or 1000)
        value = {name: found[at : at + size], "NextToken": str(at + size) if at + size < len(found) else ""}
        self.answer(f"<{action}Response>{_xml(value, _output(action))}</{action}Response>", kind="text/xml")


@cache
def _output(action):
    return _one_session().get_service_model("ec2").operation_model(action).output_shape


def _xml(value, shape):
    """A botocore output value in the EC2 query protocol."""
    if shape.type_name == "structure":
        out = []
        for key, inner in value.items():
            if key in shape.members:
                member = shape.members[key]
                tag = member.serialization.get("name", key)
                out.append(f"<{tag}>{_xml(inner, member)}</{tag}>")
        return "".join(out)
    if shape.type_name == "list":
        return "".join(f"<item>{_xml(v, shape.member)}</item>" for v in value)
    return escape(str(value).lower() if isinstance(value, bool) else str(value))


def product(sku, instance_type, region, usd, terms=None, currency="USD", **changes):
    """A Price List entry for the plain Linux machine; ``changes`` turn it into another way of
    selling it.
    """
    facts = {
        "instanceType": instance_type,
        "regionCode": region,
        "operatingSystem": "Linux",
        "tenancy": "Shared",
        "preInstalledSw": "NA",
        "licenseModel": "No License required",
        "capacitystatus": "Used",
        "marketoption": "OnDemand",
        "locationType": "AWS Region",
        "usagetype": f"BoxUsage:{instance_type}",
        **changes,
    }
    dimension = {"unit": "Hrs", "beginRange": "0", "endRange": "Inf", "pricePerUnit": {currency: str(usd)}}
    return json.dumps(
        {
            "product": {"productFamily": "Compute Instance", "sku": sku, "attributes": facts},
            "terms": {
                "OnDemand": {f"{sku}.T": {"priceDimensions": {f"{sku}.T.R": dimension}, "termAttributes": {}}},
                **(terms or {}),
            },
        }
    )


def reserved(years, payment, hourly, upfront, kind="standard"):
    """The Reserved part of an entry."""
    dimensions = {"h": {"unit": "Hrs", "pricePerUnit": {"USD": str(hourly)}}}
    if upfront:
        dimensions["q"] = {"unit": "Quantity", "pricePerUnit": {"USD": str(upfront)}}
    facts = {"LeaseContractLength": f"{years}yr", "OfferingClass": kind, "PurchaseOption": payment}
    return {"Reserved": {"S.R": {"termAttributes": facts, "priceDimensions": dimensions}}}


def ec2_type(row):
    """A describe_instance_types item from a row of ``catalog.instances``."""
    out = {
        "InstanceType": row["instance_type"],
        "CurrentGeneration": bool(row["current_generation"]),
        "ProcessorInfo": {"SupportedArchitectures": [row["arch"]]},
        "BurstablePerformanceSupported": row["baseline_share"] < 1,
        "VCpuInfo": {"DefaultVCpus": int(row["vcpus"]), "DefaultThreadsPerCore": int(row["threads_per_core"])},
        "MemoryInfo": {"SizeInMiB": int(row["memory_gib"] * 1024)},
        "NetworkInfo": {
            "NetworkPerformance": "Up to 99 Gigabit",
            "NetworkCards": [{"BaselineBandwidthInGbps": row["network_gib_per_s"] * 8 * 2**30 / 1e9}],
        },
    }
    if row["local_disk_gib"] > 0:
        out["InstanceStorageInfo"] = {"TotalSizeInGB": round(row["local_disk_gib"] * 2**30 / 1e9)}
    if row["accelerators"] >= 1:
        out["GpuInfo"] = {
            "Gpus": [
                {
                    "Name": row["accelerator"],
                    "Count": int(row["accelerators"]),
                    "LogicalGpuCount": int(row["accelerators"]),
                    "MemoryInfo": {"SizeInMiB": round(row["accelerator_memory_gib"] * 1024)},
                }
            ]
        }
    return out


def spot(name, zone, usd, stamp="2026-01-15T01:00:00.000Z", system="Linux/UNIX"):
    return {
        "AvailabilityZone": "us-east-1a",
        "AvailabilityZoneId": zone,
        "InstanceType": name,
        "ProductDescription": system,
        "SpotPrice": str(usd),
        "Timestamp": stamp,
    }


def plan(name, region, usd, *, kind="Compute", seconds=31536000, payment="No Upfront", usage="BoxUsage", **properties):
    facts = {
        "region": region,
        "instanceType": name,
        "productDescription": "Linux/UNIX",
        "tenancy": "shared",
        **properties,
    }
    offering = {
        "offeringId": "0",
        "paymentOption": payment,
        "planType": kind,
        "durationSeconds": seconds,
        "currency": "USD",
    }
    return {
        "savingsPlanOffering": offering,
        "rate": str(usd),
        "unit": "Hrs",
        "productType": "EC2",
        "serviceCode": "AmazonEC2",
        "usageType": f"{usage}:{name}",
        "operation": "RunInstances",
        "properties": [{"name": k, "value": v} for k, v in facts.items()],
    }


def azure_item(name, region, usd, **changes):
    return {
        "currencyCode": "USD",
        "tierMinimumUnits": 0.0,
        "retailPrice": usd,
        "unitPrice": usd,
        "armRegionName": region,
        "productName": "Virtual Machines",
        "skuName": name,
        "meterName": name,
        "serviceName": "Virtual Machines",
        "unitOfMeasure": "1 Hour",
        "type": "Consumption",
        "armSkuName": name,
        **changes,
    }


def gcp_sku(
    number,
    description,
    usd,
    *,
    region="us-central1",
    family="Compute",
    group="CPU",
    usage="OnDemand",
    unit="h",
    currency="USD",
    tiers=None,
):
    """A SKU as plain data, in the layout of the REST answer."""
    steps = tiers or [(0, usd)]
    rates = [
        {
            "startUsageAmount": at,
            "unitPrice": {"currencyCode": currency, "units": str(int(u)), "nanos": round((u - int(u)) * 1e9)},
        }
        for at, u in steps
    ]
    return {
        "skuId": f"S{number:04d}",
        "description": description,
        "serviceRegions": [region] if isinstance(region, str) else list(region),
        "category": {"resourceFamily": family, "resourceGroup": group, "usageType": usage},
        "pricingInfo": [
            {"effectiveTime": "2026-07-30T00:00:00Z", "pricingExpression": {"usageUnit": unit, "tieredRates": rates}}
        ],
    }


class Gcp:
    """The Cloud Billing Catalog over gRPC with pages of 50 SKUs. ``throttle`` answers UNAVAILABLE;
    ``cut`` aborts the second page.
    """

    def __init__(self, skus=()):
        from concurrent import futures

        import grpc
        from google.cloud import billing_v1

        self.skus, self.throttle, self.cut, self.calls = list(skus), 0, False, []
        handler = grpc.unary_unary_rpc_method_handler(
            self._list, billing_v1.ListSkusRequest.deserialize, billing_v1.ListSkusResponse.serialize
        )
        self._server = grpc.server(futures.ThreadPoolExecutor(2))
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("google.cloud.billing.v1.CloudCatalog", {"ListSkus": handler}),)
        )
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def _list(self, ask, context):
        import grpc
        from google.cloud import billing_v1

        self.calls.append(ask.page_token)
        self.throttle -= 1
        if self.throttle >= 0:
            context.abort(grpc.StatusCode.UNAVAILABLE, "try again")
        if self.cut and ask.page_token:
            context.abort(grpc.StatusCode.INTERNAL, "connection lost")
        at = int(ask.page_token or 0)
        page = [billing_v1.Sku.from_json(json.dumps(s)) for s in self.skus[at : at + 50]]
        return billing_v1.ListSkusResponse(skus=page, next_page_token=str(at + 50) if at + 50 < len(self.skus) else "")

    def client(self):
        import grpc
        from google.cloud import billing_v1
        from google.cloud.billing_v1.services.cloud_catalog.transports import CloudCatalogGrpcTransport

        return billing_v1.CloudCatalogClient(
            transport=CloudCatalogGrpcTransport(channel=grpc.insecure_channel(self.address))
        )

    def close(self):
        self._server.stop(0).wait()


@contextmanager
def aws_environment(monkeypatch, url):
    """The SDK's own way to another endpoint; the keys are made up."""
    import boto3

    for key, value in {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "AKIATESTTESTTESTTEST",
        "AWS_SECRET_ACCESS_KEY": "verysecretverysecret",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    }.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setattr(boto3, "Session", lambda: boto3.session.Session(botocore_session=_one_session()))
    yield


@cache
def _one_session():
    """botocore reads its service models (megabytes of JSON) once a session."""
    from botocore.session import get_session

    return get_session()


HEADER = (
    "SKU",
    "OfferTermCode",
    "TermType",
    "Unit",
    "PricePerUnit",
    "Currency",
    "LeaseContractLength",
    "PurchaseOption",
    "OfferingClass",
    "Location Type",
    "Instance Type",
    "Tenancy",
    "Operating System",
    "License Model",
    "usageType",
    "CapacityStatus",
    "Pre Installed S/W",
    "MarketOption",
)


@contextmanager
def moto_server():
    """A simulated AWS over HTTP, as ``http://host:port``; empty at its start, although all servers of
    a process share what they hold.
    """
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        urlopen(Request(f"http://{host}:{port}/moto-api/reset", method="POST"), timeout=30).close()
        yield f"http://{host}:{port}"
    finally:
        server.stop()
