//! What the documents say of the program and of each other.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::{run, stdout};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// README, what stands beside it, and the guides.
fn documents() -> Vec<PathBuf> {
    let in_folder = |folder: PathBuf| fs::read_dir(folder).expect("a folder").flatten();
    let all = in_folder(root().to_owned()).chain(in_folder(root().join("docs")));
    let all = all.map(|entry| entry.path());
    let all: Vec<_> = all
        .filter(|path| path.extension().is_some_and(|end| end == "md"))
        .collect();
    assert!(all.len() > 10);
    all
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// As GitHub makes it of a headline.
fn anchor(headline: &str) -> String {
    let text = headline.trim_start_matches('#').trim().to_lowercase();
    let kept = text
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.collect::<String>().replace(' ', "-")
}

#[test]
fn links_between_documents_lead_somewhere() {
    for document in documents() {
        let text = read(&document);
        for link in text
            .split("](")
            .skip(1)
            .filter_map(|after| after.split(')').next())
        {
            if link.contains("://") || link.contains(' ') {
                continue;
            }
            let (file, place) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => document.clone(),
                file => document.parent().expect("a folder").join(file),
            };
            assert!(
                target.exists(),
                "{}: there is no {link}",
                document.display()
            );
            if !place.is_empty() {
                let target = read(&target);
                let mut headlines = target.lines().filter(|line| line.starts_with('#'));
                assert!(
                    headlines.any(|headline| anchor(headline) == place),
                    "{}: there is no headline for {link}",
                    document.display()
                );
            }
        }
    }
}

/// What a document has between backquotes or in a block of code, if it begins with the program's name.
fn commands(text: &str) -> Vec<String> {
    let (mut is_block, mut code) = (false, Vec::new());
    for line in text.lines() {
        if line.starts_with("```") {
            is_block = !is_block;
        } else if is_block || line.starts_with("    ") {
            code.push(line.trim().trim_start_matches("sudo "));
        } else {
            code.extend(line.split('`').skip(1).step_by(2));
        }
    }
    // A pipe, a comment or another command ends it.
    let ends = ["|", "#", ";", "&", ">"];
    let is_end = |word: &&str| ends.iter().any(|end| word.starts_with(end));
    let of_ours = code
        .into_iter()
        .filter_map(|code| code.trim().strip_prefix("uturn "));
    of_ours
        .map(|code| {
            let words = code.split_whitespace();
            words
                .take_while(|word| !is_end(word))
                .collect::<Vec<_>>()
                .join(" ")
        })
        .collect()
}

#[test]
fn commands_and_options_that_documents_name_are_there() {
    let mut helps: BTreeMap<String, String> = BTreeMap::new();
    let mut looked_at = 0;
    for document in documents() {
        for said in commands(&read(&document)) {
            let mut words = said.split(' ');
            let Some(command) = words.next().filter(|word| {
                !word.is_empty()
                    && word
                        .bytes()
                        .all(|byte| byte.is_ascii_lowercase() || byte == b'-')
            }) else {
                continue;
            };
            if command.starts_with('-') || command == "help" {
                continue;
            }
            let help = helps.entry(command.to_owned()).or_insert_with(|| {
                let output = run(&["help", command]);
                let is_there = output.status.success();
                assert!(
                    is_there,
                    "{}: there is no `uturn {command}`",
                    document.display()
                );
                stdout(&output)
            });
            for option in words.filter(|word| word.starts_with("--")) {
                let option = option.split('=').next().unwrap_or_default();
                let option = option.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
                // `explain` has its options in commands of its own.
                let is_there = help.contains(option)
                    || said.split(' ').nth(1).is_some_and(|inner| {
                        stdout(&run(&["help", command, inner])).contains(option)
                    });
                assert!(
                    is_there,
                    "{}: `uturn {command}` has no {option}: {said}",
                    document.display()
                );
                looked_at += 1;
            }
        }
    }
    assert!(
        helps.len() > 12 && looked_at > 30,
        "{looked_at} {:?}",
        helps.keys()
    );
}
