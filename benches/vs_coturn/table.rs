//! Rows as people read them, and as programs do.

use serde_json::{Value, json};

use super::figures::{Ratio, Spread};
use super::rounds::Results;
use super::rows::{Floor, Row, Section};

/// What the runs of a row come to.
struct Summary {
    figures: [Option<Spread>; 2],
    ratio: Option<Spread>,
    floor: Option<Spread>,
    /// Ours divided by the floor.
    over_floor: Option<Spread>,
    verdict: &'static str,
    is_disturbed: bool,
    has_time_to_spare: bool,
}

impl Summary {
    fn of(row: &Row, results: &Results) -> Self {
        let figures = |side| results.figures(side, row.figure);
        let [first, second] = row.sides.map(figures);
        let ratio = Spread::of_ratios(&first, &second, row.ratio);
        let (floor, over_floor) = match row.floor {
            None => (None, None),
            Some(Floor::Figure(side)) => over(&first, &figures(side)),
            Some(Floor::Ratio(sides)) => {
                let [many, few] = sides.map(figures);
                let ours = row.ratio.of_all(&first, &second);
                over(&ours, &row.ratio.of_all(&many, &few))
            }
        };
        let verdict = match (row.bar, ratio) {
            (None, _) | (_, None) => "",
            (Some(bar), Some(ratio)) if bar.is_met(ratio.median) => "met",
            _ if over_floor.is_some_and(|over| row.figure.is_at(over.median)) => "at the floor",
            _ => "not met",
        };
        Self {
            figures: [&first, &second].map(|all| Spread::of(all.iter().copied().flatten())),
            ratio,
            floor,
            over_floor,
            verdict,
            is_disturbed: row.all_sides().any(|side| results.is_disturbed(side)),
            has_time_to_spare: row
                .sides
                .iter()
                .any(|side| results.has_time_to_spare(*side)),
        }
    }
}

/// What the floor came to, and ours divided by it.
fn over(ours: &[Option<f64>], floor: &[Option<f64>]) -> (Option<Spread>, Option<Spread>) {
    (
        Spread::of(floor.iter().copied().flatten()),
        Spread::of_ratios(ours, floor, Ratio::FirstOverSecond),
    )
}

/// All tables, as Markdown whose columns stand below each other.
pub fn render(sections: &[Section], results: &Results) -> String {
    let mut text = String::new();
    let (mut disturbed, mut bound) = (false, false);
    for section in sections {
        let has_floor = section.rows.iter().any(|row| row.floor.is_some());
        let mut lines = vec![head(section, has_floor)];
        for row in &section.rows {
            let summary = Summary::of(row, results);
            disturbed |= summary.is_disturbed;
            bound |= summary.has_time_to_spare;
            lines.push(cells(row, &summary, has_floor));
        }
        text += &format!("**{}**\n\n{}\n", section.title, aligned(&lines));
    }
    if disturbed {
        text += "\\* Other programs used more than a fifth of a core in a run of this row, repeated or not.\n\n";
    }
    if bound {
        text += "† A server had time to spare: the generator, or another program, was at its limit first.\n\n";
    }
    text.trim_end().to_owned()
}

fn head(section: &Section, has_floor: bool) -> Vec<String> {
    let [first, second] = section.columns;
    let mut head = vec!["", first, second, "ratio", "spread", "bar", ""];
    if has_floor {
        head.extend(["floor", "uturn / floor"]);
    }
    head.into_iter().map(str::to_owned).collect()
}

fn cells(row: &Row, summary: &Summary, has_floor: bool) -> Vec<String> {
    let figure = |spread: Option<Spread>| match spread {
        Some(spread) => row.figure.show(spread.median),
        None => String::new(),
    };
    let ratio = |spread: Option<Spread>| match spread {
        Some(spread) => format!("{:.2}", spread.median),
        None => String::new(),
    };
    let spread = |spread: Option<Spread>| match spread {
        Some(spread) => format!("{:.2}–{:.2}", spread.least, spread.most),
        None => String::new(),
    };
    let star = if summary.is_disturbed { " \\*" } else { "" };
    let dagger = if summary.has_time_to_spare {
        " †"
    } else {
        ""
    };
    let [first, second] = summary.figures;
    let mut cells = vec![
        format!("{}{star}{dagger}", row.name),
        figure(first),
        figure(second),
        ratio(summary.ratio),
        spread(summary.ratio),
        row.bar.map(|bar| bar.show()).unwrap_or_default(),
        summary.verdict.to_owned(),
    ];
    if has_floor {
        let floor = match row.floor {
            Some(Floor::Ratio(_)) => ratio(summary.floor),
            Some(Floor::Figure(_)) | None => figure(summary.floor),
        };
        cells.extend([floor, ratio(summary.over_floor)]);
    }
    cells
}

/// Lines of cells as a table; the first one is its head.
fn aligned(lines: &[Vec<String>]) -> String {
    let columns = lines.first().map_or(0, Vec::len);
    let width = |column: usize| {
        let cells = lines.iter().map(|line| line[column].chars().count());
        cells.max().unwrap_or(0).max(3)
    };
    let widths: Vec<_> = (0..columns).map(width).collect();
    let row = |line: &[String]| {
        let cells: Vec<_> = line
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(column, (cell, &width))| match column {
                0 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            })
            .collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let rule: Vec<_> = widths
        .iter()
        .enumerate()
        .map(|(column, &width)| match column {
            0 => "-".repeat(width),
            _ => format!("{}:", "-".repeat(width - 1)),
        })
        .collect();
    let mut text = String::new();
    for (index, line) in lines.iter().enumerate() {
        text += &row(line);
        if index == 0 {
            text += &format!("| {} |\n", rule.join(" | "));
        }
    }
    text
}

/// The rows, for programs.
pub fn summaries(sections: &[Section], results: &Results) -> Vec<Value> {
    let rows = sections
        .iter()
        .flat_map(|section| section.rows.iter().map(move |row| (section.columns, row)));
    rows.map(|(columns, row)| {
        let summary = Summary::of(row, results);
        let median = |spread: Option<Spread>| spread.map(|spread| spread.median);
        json!({
            "row": row.name,
            "columns": columns,
            "figures": summary.figures.map(median),
            "ratio": median(summary.ratio),
            "ratio_min": summary.ratio.map(|spread| spread.least),
            "ratio_max": summary.ratio.map(|spread| spread.most),
            "bar": row.bar.map(|bar| bar.show()),
            "verdict": summary.verdict,
            "floor": median(summary.floor),
            "over_floor": median(summary.over_floor),
            "disturbed": summary.is_disturbed,
            "time_to_spare": summary.has_time_to_spare,
        })
    })
    .collect()
}
