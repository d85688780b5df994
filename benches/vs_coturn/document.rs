//! The table's place in PERFORMANCE.md.

use std::fs;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/PERFORMANCE.md");
const BEGIN: &str = "<!-- begin: vs_coturn -->";
const END: &str = "<!-- end -->";

/// Puts `table` where the last one stands.
pub fn write(table: &str) -> Result<(), String> {
    let text = fs::read_to_string(FILE).map_err(|error| format!("cannot read {FILE}: {error}"))?;
    let text = replaced(&text, table).ok_or_else(|| {
        format!("{FILE} lacks the lines {BEGIN} and {END}, between which the table stands")
    })?;
    fs::write(FILE, text).map_err(|error| format!("cannot write {FILE}: {error}"))
}

/// The text with another table between its marks; `None` without them.
pub fn replaced(text: &str, table: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{table}\n{END}{after}"))
}
