//! The dashboard and the alert rules ask for metrics, labels and values that there are.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{check, snapshot};
use crate::metrics::text;

const DASHBOARD: &str = include_str!("../../../config/grafana-dashboard.json");
const ALERTS: &str = include_str!("../../../config/prometheus-alerts.yml");

/// Labels that Prometheus adds to what it collects, and the bounds of histograms.
const ADDED: [&str; 3] = ["job", "instance", "le"];

/// A metric's labels, and the values of each.
type Labels = BTreeMap<String, BTreeSet<String>>;

/// What the page has, by metric.
fn shown() -> BTreeMap<String, Labels> {
    let mut metrics: BTreeMap<String, Labels> = BTreeMap::new();
    for series in check(&text(&snapshot(), false)).keys() {
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let of_metric = metrics.entry(name.to_owned()).or_default();
        for (label, value) in pairs(labels) {
            of_metric.entry(label).or_default().insert(value);
        }
    }
    // Prometheus makes it.
    metrics.insert("up".to_owned(), Labels::new());
    metrics
}

/// `a="b",c=~"d"}…` as pairs; the operator goes with the value where it is not `=`.
fn pairs(labels: &str) -> Vec<(String, String)> {
    let inner = labels.split('}').next().unwrap_or_default();
    let parts = inner.split("\",").filter(|part| !part.is_empty());
    let pair = |part: &str| {
        let (label, value) = part.split_once('=').expect("a label and its value");
        let is_pattern = value.starts_with('~');
        let value = value.trim_start_matches('~').trim_matches('"');
        let value = if is_pattern {
            format!("~{value}")
        } else {
            value.to_owned()
        };
        (label.trim().to_owned(), value)
    };
    parts.map(pair).collect()
}

/// The metrics that an expression names, with what it asks of their labels.
fn selectors(expression: &str) -> Vec<(String, Vec<(String, String)>)> {
    let is_part = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let mut found = Vec::new();
    let mut rest = expression;
    while let Some(start) = rest.find(|character: char| character.is_ascii_alphabetic()) {
        rest = &rest[start..];
        let end = rest
            .find(|character| !is_part(character))
            .unwrap_or(rest.len());
        let name = &rest[..end];
        rest = &rest[end..];
        let is_metric = ["uturn_", "process_"]
            .iter()
            .any(|prefix| name.starts_with(prefix));
        if is_metric || name == "up" {
            let labels = rest.strip_prefix('{').map(pairs).unwrap_or_default();
            found.push((name.to_owned(), labels));
        }
        if let Some(labels) = rest.strip_prefix('{') {
            rest = labels.split_once('}').expect("a closing brace").1;
        }
    }
    found
}

/// The labels that an expression groups by.
fn groups(expression: &str) -> Vec<&str> {
    let lists = expression.split(" by (").chain(expression.split(" on ("));
    let lists = lists.skip(1).filter_map(|after| after.split_once(')'));
    lists
        .flat_map(|(list, _)| list.split(','))
        .map(str::trim)
        .filter(|label| {
            label
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        })
        .collect()
}

fn check_expression(expression: &str) {
    let shown = shown();
    let selectors = selectors(expression);
    assert!(!selectors.is_empty(), "no metric in: {expression}");
    let mut known: BTreeSet<&str> = ADDED.into();
    for (name, wanted) in &selectors {
        let labels = shown
            .get(name)
            .unwrap_or_else(|| panic!("{name} is not shown: {expression}"));
        known.extend(labels.keys().map(String::as_str));
        for (label, value) in wanted {
            if ADDED.contains(&label.as_str()) {
                continue;
            }
            let values = labels.get(label);
            let values = values.unwrap_or_else(|| panic!("{name} has no {label}: {expression}"));
            let fits = |wanted: &str| match wanted.strip_suffix(".*") {
                Some(prefix) => values.iter().any(|value| value.starts_with(prefix)),
                None => values.contains(wanted),
            };
            let mut alternatives = value.trim_start_matches('~').split('|');
            assert!(
                value.contains('$') || alternatives.all(fits),
                "{name} has no {label} {value}: {expression}"
            );
        }
    }
    for label in groups(expression) {
        assert!(known.contains(label), "no metric has {label}: {expression}");
    }
}

/// The labels of a text like `{{ $labels.instance }}` or `{{transport}}`.
fn placeholders(text: &str) -> impl Iterator<Item = &str> {
    let inner = text
        .split("{{")
        .skip(1)
        .filter_map(|after| after.split("}}").next());
    inner
        .map(str::trim)
        .filter(|inner| !inner.starts_with("$value"))
}

#[test]
fn the_dashboard_asks_for_what_there_is() {
    let dashboard: Value = serde_json::from_str(DASHBOARD).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let (mut ids, mut asked) = (BTreeSet::new(), BTreeSet::new());
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64().expect("an id")));
        let targets = panel["targets"].as_array();
        assert_eq!(targets.is_none(), panel["type"] == "row", "{panel}");
        for target in targets.into_iter().flatten() {
            let expression = target["expr"].as_str().expect("an expression");
            check_expression(expression);
            asked.extend(selectors(expression).into_iter().map(|(name, _)| name));
            let groups = groups(expression);
            for label in placeholders(target["legendFormat"].as_str().expect("a legend")) {
                let is_kept = groups.is_empty() || groups.contains(&label);
                assert!(is_kept, "{expression} has no {label} to show");
            }
        }
    }
    for variable in dashboard["templating"]["list"]
        .as_array()
        .expect("variables")
    {
        let query = variable["definition"].as_str().unwrap_or_default();
        for (name, _) in selectors(query) {
            assert!(shown().contains_key(&name), "{query}");
        }
    }
    // What an operator should look at is there to look at.
    for (name, labels) in shown() {
        let is_plain = [
            "uturn_client_received",
            "uturn_success",
            "uturn_worker_turns",
            "uturn_internal",
        ];
        let is_count = [
            "up",
            "uturn_worker_up",
            "uturn_build_info",
            "process_start_time_seconds",
        ];
        let is_left_out = is_plain.iter().any(|prefix| name.starts_with(prefix))
            || is_count.contains(&&*name)
            || name == "uturn_peer_connections"
            || name == "uturn_connections_accepted_total"
            || name.ends_with("_sum")
            || name.ends_with("_count");
        assert!(
            is_left_out || asked.contains(&name),
            "{name} {labels:?} is on no panel"
        );
    }
}

#[test]
fn the_alerts_ask_for_what_there_is() {
    let rules: Vec<_> = ALERTS.split("- alert: ").skip(1).collect();
    assert!(rules.len() >= 10);
    for rule in rules {
        let (_, expression) = rule.split_once("expr: ").expect("an expression");
        // It ends where the next key of the rule begins.
        let lines = expression.lines().enumerate();
        let lines = lines.take_while(|(at, line)| *at == 0 || line.starts_with("          "));
        let expression: Vec<_> = lines
            .map(|(_, line)| line.trim_matches([' ', '|']))
            .collect();
        let expression = expression.join(" ");
        check_expression(&expression);
        let known: BTreeSet<_> = selectors(&expression)
            .iter()
            .flat_map(|(name, _)| shown()[name].keys().cloned().collect::<Vec<_>>())
            .collect();
        let groups = groups(&expression);
        let by = expression.contains(" by (") && !expression.contains(" on (");
        for label in placeholders(rule) {
            let label = label.strip_prefix("$labels.").expect("a label");
            let is_kept = match by {
                true => groups.contains(&label),
                false => ADDED.contains(&label) || known.contains(label),
            };
            assert!(is_kept, "{expression} has no {label} to tell of");
        }
        assert!(
            rule.contains("severity: ")
                && rule.contains("summary: ")
                && rule.contains("description: ")
        );
    }
}

#[test]
fn what_there_is_not_is_found() {
    for (wrong, why) in [
        (
            "rate(uturn_relayed_octets_total[5m])",
            "uturn_relayed_octets_total is not shown",
        ),
        (
            "sum(uturn_allocations{transport=\"sctp\"})",
            "has no transport sctp",
        ),
        ("sum(uturn_allocations{user=\"alice\"})", "has no user"),
        ("sum by (code) (uturn_allocations)", "no metric has code"),
    ] {
        let panic = std::panic::catch_unwind(|| check_expression(wrong)).unwrap_err();
        let text = panic.downcast_ref::<String>().expect("a text");
        assert!(text.contains(why), "{text}");
    }
}
