"""An access log where the extra that counts its lines is not installed."""

import subprocess
import sys

LINE = '10.0.0.1 - - [01/Nov/2026:10:00:00 +0000] "GET / HTTP/1.1" 200 12 "-" "x"\n'


def test_a_log_without_duckdb_names_the_extra(tmp_path):
    (tmp_path / "a.log").write_text(LINE * 5, encoding="utf-8")
    text = (
        "import sys; sys.modules['duckdb'] = None\n"
        "from planner import PlannerError, read_traffic\n"
        "try:\n    read_traffic(sys.argv[1])\n"
        "except PlannerError as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", text, str(tmp_path / "a.log")], capture_output=True, text=True, check=True, timeout=60
    )
    assert "a.log: access logs are counted with DuckDB" in done.stdout
    assert "pip install 'infra-planner[logs]'" in done.stdout
