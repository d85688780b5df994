//! CONFORMANCE.md, its rows, and the tests that are named after them: each knows the others.
//!
//! Whether the tests pass is for themselves to say, and what coturn does for `cargo run --example conformance`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

#[path = "conformance/table/document.rs"]
mod document;
#[path = "conformance/table/rows.rs"]
mod rows;
#[path = "conformance/table/verdict.rs"]
mod verdict;

use document::{Document, Verdicts};
use rows::{Rows, id_in};
use verdict::{Outcome, Verdict};

#[test]
fn every_row_has_a_test_or_a_reason_for_none() {
    let tested = tested_rows();
    for row in rows().all() {
        match (&row.untested, tested.contains(&row.id)) {
            (None, false) => panic!(
                "{} has no test: name one after it, or say why not (`untested`)",
                row.id
            ),
            (Some(_), true) => panic!("{} has a test: it is not `untested`", row.id),
            _ => {}
        }
    }
}

#[test]
fn every_test_is_named_after_a_row() {
    let ids: BTreeSet<_> = rows().all().map(|row| row.id.clone()).collect();
    for name in tests_under("tests/conformance") {
        let id = id_in(&name);
        assert!(
            id.is_some_and(|id| ids.contains(&id)),
            "{name} is of no row"
        );
    }
    for name in tests_under("tests/sim") {
        if let Some(id) = id_in(&name) {
            assert!(ids.contains(&id), "{name} is of no row");
        }
    }
}

#[test]
fn rows_are_in_order_and_well_said() {
    let rows = rows();
    for chapter in &rows.chapters {
        let prefix = &chapter.rows[0].id[..4];
        for (index, row) in chapter.rows.iter().enumerate() {
            assert_eq!(row.id, format!("{prefix}{:02}", index + 1));
            let text = [&row.requirement, &row.source, &row.level];
            assert!(
                !text
                    .iter()
                    .any(|text| text.is_empty() || text.contains('|')),
                "{} does not fit into a table",
                row.id
            );
            assert!(row.requirement.ends_with('.'), "{}: a sentence", row.id);
            assert!(
                ["core", "modern", "rare"].contains(&row.tier.as_str()),
                "{}: tier",
                row.id
            );
        }
    }
}

#[test]
fn conformance_md_has_every_row_as_it_is() {
    let text = fs::read_to_string(document::FILE).expect("CONFORMANCE.md");
    let document = Document::parse(&text).expect("CONFORMANCE.md as it is written");
    let written: BTreeSet<_> = document.verdicts.keys().cloned().collect();
    let ids: BTreeSet<_> = rows().all().map(|row| row.id.clone()).collect();
    assert_eq!(written, ids, "{AGAIN}");
    assert!(document.render(&rows()) == text, "{AGAIN}");
}

#[test]
fn conformance_md_claims_no_more_than_the_tests_can_show() {
    let text = fs::read_to_string(document::FILE).expect("CONFORMANCE.md");
    let verdicts = Document::parse(&text)
        .expect("CONFORMANCE.md as it is written")
        .verdicts;
    let tested = tested_rows();
    for row in rows().all() {
        let Verdicts { uturn, coturn } = verdicts.get(&row.id).expect(AGAIN);
        match &row.untested {
            Some(reason) => assert_eq!(*uturn, Verdict::NotRun(reason.clone()), "{AGAIN}"),
            None => assert!(!matches!(uturn, Verdict::NotRun(_)), "{}: {AGAIN}", row.id),
        }
        let is_run = !matches!(coturn, Verdict::NotRun(_));
        assert!(!is_run || tested.contains(&row.id), "{}: {AGAIN}", row.id);
        assert!(
            !coturn.to_string().contains("UTURN_TEST"),
            "{}: a reason for people",
            row.id
        );
    }
}

#[test]
fn a_row_is_what_its_tests_are() {
    let not_run = |reason: &str| Outcome::NotRun(reason.to_owned());
    let failed = Outcome::Failed("expected 442".to_owned());
    assert_eq!(Verdict::of(&[]), Verdict::NotRun("no test".to_owned()));
    assert_eq!(
        Verdict::of(&[Outcome::Passed, Outcome::Passed]),
        Verdict::Pass
    );
    assert_eq!(
        Verdict::of(&[Outcome::Passed, not_run("a"), failed]),
        Verdict::Fail
    );
    assert_eq!(
        Verdict::of(&[not_run("a"), Outcome::Passed, not_run("b"), not_run("a")]),
        Verdict::PassInPart("a; b".to_owned())
    );
    assert_eq!(
        Verdict::of(&[not_run("a")]),
        Verdict::NotRun("a".to_owned())
    );
}

#[test]
fn what_is_written_is_read_back() {
    let rows = rows();
    let verdicts = [
        Verdict::Pass,
        Verdict::PassInPart("a; b".to_owned()),
        Verdict::Fail,
        Verdict::NotRun("c".to_owned()),
    ];
    let of = |(index, row): (usize, &rows::Row)| {
        let verdict = |index: usize| verdicts[index % verdicts.len()].clone();
        let (uturn, coturn) = (verdict(index), verdict(index / 4));
        (row.id.clone(), Verdicts { uturn, coturn })
    };
    let document = Document {
        about: "uturn 1 and coturn 2.".to_owned(),
        verdicts: rows.all().enumerate().map(of).collect::<BTreeMap<_, _>>(),
    };
    assert_eq!(Document::parse(&document.render(&rows)), Ok(document));
}

#[test]
fn a_test_names_its_row() {
    assert_eq!(id_in("auth::aut_14_name").as_deref(), Some("AUT-14"));
    for other in [
        "auth::a_name",
        "aut_1_name",
        "aut_14",
        "the_14_name_of",
        "AUT_14_name",
    ] {
        assert_ne!(id_in(other).as_deref(), Some("AUT-14"), "{other}");
    }
}

const AGAIN: &str =
    "CONFORMANCE.md is not of these rows and tests: cargo run --example conformance -- --write";

fn rows() -> Rows {
    Rows::read().expect("the rows")
}

fn tested_rows() -> BTreeSet<String> {
    let names = tests_under("tests/conformance")
        .into_iter()
        .chain(tests_under("tests/sim"));
    names.filter_map(|name| id_in(&name)).collect()
}

/// The names of the tests in the sources below a directory.
fn tests_under(directory: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut directories = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(directory)];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).expect("a directory of tests") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                names.extend(tests_in(&fs::read_to_string(&path).expect("a source")));
            }
        }
    }
    assert!(!names.is_empty(), "no test is under {directory}");
    names
}

/// The name of the function behind each `#[test]`.
fn tests_in(source: &str) -> Vec<String> {
    let behind = source.split("#[test]").skip(1);
    let names = behind.filter_map(|rest| {
        let (_, name) = rest.split_once("fn ")?;
        Some(name.split_once('(')?.0.to_owned())
    });
    names.collect()
}
