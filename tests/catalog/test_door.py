"""The door to a provider: redirects stay on the host, answers are bounded, odd shapes are typed."""

import http.server
import json
import shutil
import threading
from contextlib import contextmanager

import pandas as pd
import pytest

from planner.catalog import Catalog, azure, refresh
from planner.catalog.answers import bounded, open_on_host
from planner.cli.catalog import _print
from planner.data import data_path
from planner.errors import CatalogError


@contextmanager
def server(body: bytes = b"", away: str = ""):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(302 if away else 200)
            if away:
                self.send_header("Location", away)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    serving = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=serving.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{serving.server_port}/"
    finally:
        serving.shutdown()
        serving.server_close()


def test_a_redirect_to_another_host_is_not_followed():
    with server(away="http://127.0.0.2:9/") as address, pytest.raises(CatalogError, match="another host"):
        open_on_host(address)


def test_an_answer_without_end_is_refused():
    refused = pytest.raises(CatalogError, match="more than 4,000 bytes")
    with server(body=b" " * 5000) as address, open_on_host(address) as answer, refused:
        bounded(answer, address, largest=4000)


ITEM = {
    "serviceName": "Virtual Machines",
    "armRegionName": "eastus",
    "armSkuName": "Standard_D4s_v5",
    "type": "Consumption",
    "unitOfMeasure": "1 Hour",
    "currencyCode": "USD",
    "retailPrice": 1.0,
}


@pytest.mark.parametrize("item", [None, 5, [], ITEM | {"savingsPlan": [None]}, ITEM | {"tierMinimumUnits": "many"}])
def test_nested_junk_is_a_typed_error_and_the_snapshot_stays(item, tmp_path, monkeypatch):
    shutil.copytree(data_path("catalog", "azure"), tmp_path / "azure")
    with server(body=json.dumps({"Items": [item]}).encode()) as address:
        monkeypatch.setattr(azure, "ATTEMPTS", 1)
        with pytest.raises(CatalogError, match=r"another shape|malformed|not a price"):
            refresh("azure", ["eastus"], folder=tmp_path, endpoint=address)
    assert not (tmp_path / "azure" / "CURRENT").exists()


def changed(folder, name, column, value):
    """A bundled snapshot whose first row of a file says something else in a column, new or known."""
    shutil.copytree(data_path("catalog", "gpu_cloud"), folder / "gpu_cloud")
    file = folder / "gpu_cloud" / f"{name}.csv"
    table = pd.read_csv(file, dtype="str", keep_default_na=False)
    table.loc[0, column] = value
    table.to_csv(file, index=False)


@pytest.mark.parametrize(
    ("column", "value", "told"),
    [("more", "1", "columns that are not known"), ("source", "1e30", "cannot be read|unknown source")],
)
def test_a_damaged_snapshot_is_told_with_its_file(tmp_path, column, value, told):
    changed(tmp_path, "rates", column, value)
    with pytest.raises(CatalogError, match=rf"rates\.csv.*({told})"):
        Catalog.read("gpu_cloud", folder=tmp_path)


def test_cells_of_the_catalog_run_in_no_spreadsheet(capsys):
    _print(pd.DataFrame({"region": ["=1+1", "eu"], "usd": [0.5, -0.5]}), True, "")
    assert capsys.readouterr().out == "region,usd\n'=1+1,0.5\neu,-0.5\n"
