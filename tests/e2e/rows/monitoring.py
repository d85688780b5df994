"""Debian's Prometheus, with the dashboard and the alert rules of `config/`: it collects from uturn while clients call, answers what
every panel asks, and raises each alert for what it is for.

`dashboard.html` among the logs is what the panels would show.
"""

import json
import shutil
import time
import urllib.parse
import urllib.request

from harness.clients import E2E, ROOT
from harness.network import SERVER4
from harness.process import Service, find_program, run, wait_until
from harness.report import Group, Outcome, Row
from harness.servers import PORT, SECRET, start_server, write_secret
from rows.dashboard import draw

PATIENCE_SECONDS = 60
METRICS = f"http://{SERVER4}:9641/metrics"
PROMETHEUS = "http://127.0.0.1:9090"
DASHBOARD = ROOT / "config/grafana-dashboard.json"
ALERTS = ROOT / "config/prometheus-alerts.yml"
# What has nothing to show while all goes well and nobody asks for a credential over HTTP.
EMPTY = {"Limits reached", "Authentication failures", "Credentials issued", "Dropped, by reason"}

UTURN_CONFIG = f"""
[metrics]
listen = ["{SERVER4}:9641"]
coturn_names = true

[events]
file = "monitoring-events.jsonl"

[usage]
file = "monitoring-usage.jsonl"
"""

CONFIG = f"""
global:
  scrape_interval: 1s
  evaluation_interval: 1s
rule_files: ["{ALERTS}"]
scrape_configs:
  - job_name: uturn
    static_configs:
      - targets: ["{SERVER4}:9641"]
"""


def setup(context):
    """A server that is collected from while clients call, come and go; where the logs are."""
    start_server(context, "monitoring", UTURN_CONFIG)
    config = context.folder / "prometheus.yml"
    config.write_text(CONFIG)
    data = context.folder / "prometheus"
    shutil.rmtree(data, ignore_errors=True)
    command = [
        find_program("prometheus"),
        f"--config.file={config}",
        f"--storage.tsdb.path={data}",
        "--web.listen-address=127.0.0.1:9090",
        "--storage.tsdb.retention.time=1h",
    ]
    prometheus = Service(command, context.folder / "prometheus.log")
    context.stack.callback(prometheus.stop)
    secret = context.folder / "monitoring.secret"
    write_secret(secret, SECRET)
    load = [context.binary, "load", f"turn:{SERVER4}:{PORT}", "--secret-file", secret]
    calls = [*load, "--traffic", "echo", "--clients", 20, "--rate", 2000, "--duration", "2m"]
    calls = Service(calls, context.folder / "monitoring-load.log")
    context.stack.callback(calls.stop)
    flows = 'sum(rate(uturn_relayed_packets_total{direction="to_client"}[4s]))'
    if not wait_until(lambda: value(flows) > 100, PATIENCE_SECONDS, 0.2):
        raise RuntimeError(f"Prometheus sees no load:\n{prometheus.last_words()}\n{calls.last_words()}")
    come_and_go = run([*load, "--traffic", "allocate", "--clients", 50], PATIENCE_SECONDS)
    ended = "sum(rate(uturn_allocation_duration_seconds_count[4s]))"
    if not wait_until(lambda: value(ended) > 0, PATIENCE_SECONDS, 0.2):
        raise RuntimeError(f"no session ends:\n{come_and_go.output}")
    return context.folder


def ask(path, **parameters):
    """What Prometheus answers; nothing while it is not ready."""
    url = f"{PROMETHEUS}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return json.load(answer)["data"]
    except (OSError, ValueError):
        return {}


def value(expression):
    result = ask("query", query=expression).get("result") or [{"value": [0, "0"]}]
    return float(result[0]["value"][1])


def as_asked(expression):
    """With what Grafana would put for its variables."""
    for name in ("job", "instance", "realm"):
        expression = expression.replace(f'"${name}"', '".*"')
    return expression.replace("$__rate_interval", "4s")


def page_is_valid(folder):
    """As Prometheus' own checker has it; its advice about coturn's names is none about ours."""
    with urllib.request.urlopen(METRICS, timeout=5) as answer:
        page = answer.read()
    file = folder / "metrics.txt"
    file.write_bytes(page)
    checked = run(["sh", "-c", f"{find_program('promtool')} check metrics < {file}"], PATIENCE_SECONDS)
    about_ours = [line for line in checked.output.splitlines() if line.startswith(("uturn_", "process_"))]
    is_read = checked.code in (0, 3)
    up = ask("query", query='up{job="uturn"}')["result"]
    passed = is_read and not about_ours and up[0]["value"][1] == "1"
    series = sum(not line.startswith(b"#") for line in page.splitlines())
    return Outcome(passed, f"{series} series, collected every second", checked.output)


def panels_answer(folder):
    panels = json.loads(DASHBOARD.read_text())["panels"]
    wrong, drawn = [], []
    for panel in panels:
        lines = []
        for target in panel.get("targets", []):
            now = time.time()
            expression = as_asked(target["expr"])
            answer = ask("query_range", query=expression, start=now - 20, end=now, step=1)
            if "result" not in answer:
                wrong.append(f"{panel['title']}: Prometheus does not take {expression}")
            lines += [(target["legendFormat"], series) for series in answer.get("result", [])]
        if panel["type"] != "row" and not lines and panel["title"] not in EMPTY:
            wrong.append(f"{panel['title']}: nothing to show")
        drawn.append((panel, lines))
    (folder / "dashboard.html").write_text(draw(drawn))
    shown = sum(bool(lines) for _, lines in drawn)
    return Outcome(not wrong, f"{shown} panels have something to show", "\n".join(wrong))


def alerts_fire(folder):
    promtool = find_program("promtool")
    checked = run([promtool, "check", "rules", ALERTS], PATIENCE_SECONDS)
    tested = run([promtool, "test", "rules", E2E / "alerts_test.yml"], PATIENCE_SECONDS)
    names = {line.split()[-1] for line in ALERTS.read_text().splitlines() if "- alert: " in line}
    tests = (E2E / "alerts_test.yml").read_text()
    untested = [name for name in names if f'alertname="{name}"' not in tests]
    groups = ask("rules").get("groups") or [{"rules": []}]
    loaded = {rule["name"] for rule in groups[0]["rules"] if rule["health"] != "err"}
    firing = [rule["name"] for rule in groups[0]["rules"] if rule["state"] == "firing"]
    passed = checked.code == 0 and tested.code == 0 and not untested and loaded == names
    detail = f"{checked.output}\n{tested.output}\nuntested: {untested}\nnot taken: {names - loaded}"
    return Outcome(passed, f"{len(names)} alerts; firing now: {', '.join(firing) or 'none'}", detail)


GROUP = Group(
    setup,
    [
        Row("prometheus: the page is valid and collected", page_is_valid, for_coturn=False),
        Row("prometheus: the dashboard's panels answer", panels_answer, for_coturn=False),
        Row("prometheus: every alert fires for its cause", alerts_fire, for_coturn=False),
    ],
)
