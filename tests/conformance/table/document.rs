//! CONFORMANCE.md: written, and read back.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::rows::{Chapter, Row, Rows};
use super::verdict::Verdict;

/// Where it is.
pub const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/CONFORMANCE.md");

/// What it says beyond the rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// When, where and with what it was made.
    pub about: String,
    /// What is said of each row.
    pub verdicts: BTreeMap<String, Verdicts>,
}

/// What is said of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdicts {
    pub uturn: Verdict,
    pub coturn: Verdict,
}

impl Document {
    /// Its text. Every row has to have its verdicts.
    pub fn render(&self, rows: &Rows) -> String {
        let mut text = format!(
            "{HEAD}\n{ABOUT}{}\n\n{MEANING}\n{}",
            self.about,
            self.summary()
        );
        for chapter in &rows.chapters {
            text += &self.chapter(chapter);
        }
        text
    }

    /// Reads what `render` wrote.
    pub fn parse(text: &str) -> Result<Self, String> {
        let about = text
            .lines()
            .find_map(|line| line.strip_prefix(ABOUT))
            .ok_or_else(|| format!("no line begins with {ABOUT:?}"))?;
        let cells = text.lines().filter(|line| is_row(line));
        Ok(Self {
            about: about.to_owned(),
            verdicts: cells.map(verdicts_in).collect::<Result<_, _>>()?,
        })
    }

    fn summary(&self) -> String {
        let mut text =
            "| | pass | pass in part | fail | not run |\n| --- | ---: | ---: | ---: | ---: |\n"
                .to_owned();
        let ours: Vec<_> = self.verdicts.values().map(|both| &both.uturn).collect();
        let theirs: Vec<_> = self.verdicts.values().map(|both| &both.coturn).collect();
        for (name, verdicts) in [("uturn", ours), ("coturn", theirs)] {
            let [mut pass, mut part, mut fail, mut not_run] = [0; 4];
            for verdict in verdicts {
                *match verdict {
                    Verdict::Pass => &mut pass,
                    Verdict::PassInPart(_) => &mut part,
                    Verdict::Fail => &mut fail,
                    Verdict::NotRun(_) => &mut not_run,
                } += 1;
            }
            // A String takes whatever is written.
            let _ = writeln!(text, "| {name} | {pass} | {part} | {fail} | {not_run} |");
        }
        text
    }

    fn chapter(&self, chapter: &Chapter) -> String {
        let mut text = format!("\n## {}\n\n{TABLE_HEAD}", chapter.title);
        for row in &chapter.rows {
            text += &self.row(row);
        }
        let notes: String = chapter
            .rows
            .iter()
            .filter_map(|row| Some(format!("- {}: {}\n", row.id, row.note.as_ref()?)))
            .collect();
        if !notes.is_empty() {
            text += "\n";
            text += &notes;
        }
        text
    }

    fn row(&self, row: &Row) -> String {
        let Verdicts { uturn, coturn } = &self.verdicts[&row.id];
        format!(
            "| {} | {} | {} | {} | {uturn} | {coturn} |\n",
            row.id, row.requirement, row.source, row.level
        )
    }
}

/// Whether a line is a row of one of the tables, and not the head of one.
fn is_row(line: &str) -> bool {
    let id = line.strip_prefix("| ").and_then(|rest| rest.get(..6));
    id.is_some_and(|id| {
        id.as_bytes()[3] == b'-' && id.starts_with(|first: char| first.is_ascii_uppercase())
    })
}

fn verdicts_in(line: &str) -> Result<(String, Verdicts), String> {
    let cells: Vec<_> = line.trim_matches(['|', ' ']).split(" | ").collect();
    let [id, _, _, _, uturn, coturn] = cells[..] else {
        return Err(format!("not six cells: {line}"));
    };
    let verdicts = Verdicts {
        uturn: uturn.parse()?,
        coturn: coturn.parse()?,
    };
    Ok((id.to_owned(), verdicts))
}

const HEAD: &str = "\
# Conformance

What this server does of STUN (RFC 8489) and TURN (RFC 8656), requirement by requirement, and what Debian's coturn does of
it. A row is judged by the tests in `tests/conformance` that are named after it (`stn_01_…` is of STN-01): black-box tests
over real sockets. Where the RFC fixes a time of minutes, they are in `tests/sim`, with simulated time. The rows are in
`tests/conformance/rows.toml`.

This file is made by one command, which runs each test by itself, against each server, in a network namespace:

    cargo run --example conformance -- --write

This server is configured as `tests/conformance/target/flavour.rs` says. coturn is started anew for each test, with the
options that come nearest to that configuration; they are in `tests/conformance/table/coturn.rs`.
";

const ABOUT: &str = "Made with ";

const MEANING: &str = "\
- *pass*: every test of the row passed.
- *pass in part*: those of its tests that could be run passed; the reason is why others could not.
- *fail*: a test of it failed; with coturn, twice.
- *not run*: no test of it could be run in full, and why.

A failure is not always harm. coturn's manual names RFC 5389 and RFC 5766, which RFC 8489 and RFC 8656 replace and change in
places; and a row of level \"–\" has no more than experience behind it.
";

const TABLE_HEAD: &str = "\
| row | requirement | RFC | level | uturn | coturn |
| --- | --- | --- | --- | --- | --- |
";
