//! The session that is looked at, in lines.

use super::super::sessions::one;
use super::snapshot::Flow;
use super::state::State;
use super::text::{bits, clean, reason, short, wrap};

/// Everything about the session that is looked at, in lines no wider than the screen.
pub(super) fn lines(state: &State) -> Vec<String> {
    let Some(detail) = &state.detail else {
        return Vec::new();
    };
    let mut lines = Vec::new();
    let row = state.row_of_detail();
    let mut line = |name: &str, value: &str| lines.push(format!("{name:<13} {value}"));
    match row.and_then(|row| row.rates.as_ref()) {
        _ if detail.has_ended => line("state", "it has ended: this is what was known of it"),
        Some(rates) => {
            line("up", &flow(rates.up));
            line("down", &flow(rates.down));
            let why = row.and_then(|row| row.reason.as_deref()).map(reason);
            let drops = match (rates.drops > 0.0, why) {
                (true, Some(why)) => format!("{}/s, most of them {why}", short(rates.drops)),
                _ => "0/s".to_owned(),
            };
            line("dropping", &drops);
        }
        None => {
            for name in ["up", "down", "dropping"] {
                line(name, "-");
            }
        }
    }
    let text = one(&detail.session);
    lines.extend(text.lines().map(clean));
    let room = usize::from(state.size.0);
    (lines.iter())
        .flat_map(|line| wrap(line, room, 14))
        .collect()
}

/// `1.23 Mbit/s 456 p/s`.
pub(super) fn flow(flow: Flow) -> String {
    format!("{} {} p/s", bits(flow.bits), short(flow.packets))
}
