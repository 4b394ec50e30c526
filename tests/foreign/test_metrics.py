"""The page of metrics, judged by those who read such pages: promtool and a Prometheus."""

import json
import os
import pathlib
import re
import socket
import subprocess
import urllib.error
import urllib.request

import pytest

from house import ROOT, until

CONFIG = 'metrics_listen = "127.0.0.1:0"\n'
OPEN = "application/openmetrics-text; version=1.0.0"


def tool(name):
    folder = pathlib.Path(os.environ.get("HOLDPOINT_PROMETHEUS") or ROOT / "target/prometheus/usr/bin")
    assert os.access(folder / name, os.X_OK), f"{folder / name} is not there: `tests/run foreign` gets it"
    return folder / name


@pytest.fixture
def watched(empty):
    """A daemon with metrics, and one call that was held, approved and expired by its name."""
    (empty.state / "holdpoint.toml").write_text(CONFIG)
    empty.start()
    (serving,) = [e for e in empty.entries(empty.said()) if e["message"] == "serving"]
    empty.metrics = serving["metrics"]
    asking = empty.begin("request", "--server", "db", "--tool", "drop_table", "--args", '{"t": 1}')
    (request,) = empty.held()
    empty.approve(request)
    assert asking.wait(30) == 0
    return empty


def page(url, accept=None):
    request = urllib.request.Request(url, headers={"Accept": accept} if accept else {})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.headers["Content-Type"], answer.read().decode()


def test_promtool_finds_nothing_to_say(watched):
    kind, text = page(watched.metrics)
    assert kind.startswith("text/plain; version=0.0.4")
    done = subprocess.run([tool("promtool"), "check", "metrics"], input=text.encode(), capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b""), done
    # It does complain where there is something to complain of.
    bad = text.replace("# HELP holdpoint_requests_total", "# OTHER holdpoint_requests_total")
    done = subprocess.run([tool("promtool"), "check", "metrics"], input=bad.encode(), capture_output=True)
    assert done.returncode != 0 and b"holdpoint_requests_total" in done.stderr + done.stdout


def test_every_metric_is_in_the_table_and_everything_in_the_table_is_a_metric(watched):
    _, text = page(watched.metrics)
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M))
    table = {}
    for line in (ROOT / "src/metrics/mod.rs").read_text().splitlines():
        if line.startswith("//! | `"):
            names, kind, _ = [cell.strip() for cell in line.strip("/! |").split(" | ", 2)]
            for name in re.findall(r"`(\w+)", names):
                table[name] = "gauge" if kind == "info" else kind
    # This daemon has no certificate.
    assert table.pop("holdpoint_tls_certificate_expiry_timestamp_seconds") == "gauge"
    assert table == kinds


def test_a_prometheus_scrapes_it(watched):
    kind, text = page(watched.metrics, OPEN)
    assert kind.startswith("application/openmetrics-text") and text.endswith("# EOF\n")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address = watched.metrics.split("/")[2]
    (watched.dir / "prometheus.yml").write_text(
        json.dumps(
            {
                "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
                "scrape_configs": [
                    {"job_name": "holdpoint", "static_configs": [{"targets": [address]}]}
                ],
            }
        )
    )
    with open(watched.dir / "prometheus.log", "wb") as log:
        prometheus = subprocess.Popen(
            [
                tool("prometheus"),
                f"--config.file={watched.dir}/prometheus.yml",
                f"--storage.tsdb.path={watched.dir}/tsdb",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=log,
            cwd=watched.dir,
        )
    watched.processes.append(prometheus)

    def ask(query):
        url = f"http://127.0.0.1:{port}/api/v1/query?query={query}"
        try:
            _, answer = page(url)
        except OSError:
            assert prometheus.poll() is None, (watched.dir / "prometheus.log").read_text()
            return None
        found = json.loads(answer)["data"]["result"]
        return float(found[0]["value"][1]) if found else None

    assert until(lambda: ask("holdpoint_uses_granted_total"), "a scrape") == 1
    assert ask("up") == 1
    assert ask("holdpoint_pending_requests") == 0
    assert ask("sum(holdpoint_requests_ended_total)") == 1
    assert ask("holdpoint_time_to_decision_seconds_count") == 1
    # What was seen with each scrape is what was shown: nothing was left out.
    samples = [line for line in text.splitlines() if not line.startswith("#")]
    assert ask("scrape_samples_scraped") == len(samples)


def test_other_paths_and_methods_are_refused(watched):
    root = watched.metrics.rsplit("/", 1)[0]
    for method, path, code in [("GET", "/", 404), ("POST", "/metrics", 405), ("DELETE", "/readyz", 405)]:
        request = urllib.request.Request(root + path, method=method, data=b"" if method == "POST" else None)
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=30)
        assert refused.value.code == code
        refused.value.close()
