//! The house's rules of direction, checked on the source: an import goes downward, the pure layers
//! touch neither socket nor clock nor thread nor ambient randomness, `unsafe` stays in `net/sys`, and what threads take
//! turns at is a `lock::Lock`, which counts.
//!
//! Reads Rust crudely: comments and literals are blanked, then paths are looked for in what is left.

#[path = "layering/blanking.rs"]
mod blanking;

use std::fs;
use std::path::Path;

use blanking::{blank_comments_and_literals, blank_tests, is_identifier};

/// Each module, and the modules that it may import. Listed from the top of the house to its bottom.
const LAYERS: &[(&str, &[&str])] = &[
    ("main", &["cli"]),
    (
        "cli",
        &[
            "doctor",
            "config",
            "explain",
            "load",
            "admin",
            "events",
            "metrics",
            "probe",
            "api",
            "net",
            "turn",
            "auth",
            "admission",
            "wire",
        ],
    ),
    (
        "config",
        &[
            "admin",
            "explain",
            "metrics",
            "events",
            "api",
            "net",
            "turn",
            "auth",
            "admission",
            "wire",
        ],
    ),
    (
        "admin",
        &["metrics", "explain", "api", "net", "turn", "auth"],
    ),
    (
        "doctor",
        &[
            "config",
            "explain",
            "probe",
            "load",
            "net",
            "turn",
            "auth",
            "admission",
            "wire",
        ],
    ),
    ("probe", &["load", "net", "auth", "wire"]),
    ("load", &["net", "auth", "wire"]),
    ("explain", &["turn", "auth", "admission"]),
    ("metrics", &["events", "api", "net", "turn", "lock"]),
    ("events", &["net", "turn", "auth", "lock"]),
    ("api", &["auth", "lock"]),
    ("net", &["turn", "auth", "admission", "wire", "lock"]),
    ("turn", &["auth", "admission", "wire"]),
    ("auth", &[]),
    ("admission", &["lock"]),
    ("wire", &[]),
    ("lock", &[]),
];

/// Modules that are handed the time, the dice and the bytes.
const PURE: &[&str] = &["wire", "turn", "auth", "admission"];

/// Files of other modules that are pure as well: what `uturn top` shows is tested without a terminal.
const PURE_FILES: &[&str] = &[
    "cli/top/columns.rs",
    "cli/top/detail.rs",
    "cli/top/filter.rs",
    "cli/top/screen.rs",
    "cli/top/snapshot.rs",
    "cli/top/state.rs",
    "cli/top/state/keys.rs",
    "cli/top/text.rs",
];

/// What a pure module must not name, outside of its tests.
const IMPURE: &[&str] = &[
    "UdpSocket",
    "TcpStream",
    "TcpListener",
    "Instant::now",
    "SystemTime::now",
    "std::thread",
    "thread::spawn",
    "tokio",
    "async fn",
    "rand::rng",
    "rand::random",
    "thread_rng",
    "getrandom",
    "SysRng",
    "OsRng",
];

const UNSAFE_ALLOWED_UNDER: &str = "net/sys/";

/// What makes a thread wait for another, whichever crate it is from.
const LOCKS: &[&str] = &[
    "Mutex",
    "RwLock",
    "ReentrantLock",
    "Condvar",
    "Barrier",
    "parking_lot",
];

const LOCKS_ALLOWED_IN: &str = "lock.rs";

#[test]
fn imports_go_downward_and_pure_layers_stay_pure() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut sources = Vec::new();
    read_sources(&root, &root, &mut sources);
    assert!(
        sources.len() > 10,
        "only {} source files were found under {}",
        sources.len(),
        root.display()
    );
    let violations: Vec<_> = sources
        .iter()
        .flat_map(|source| source.violations(&sources))
        .collect();
    assert!(violations.is_empty(), "\n{}", violations.join("\n"));
}

/// A source file.
struct Source {
    /// Below `src`, with forward slashes: `turn/server.rs`.
    path: String,
    text: String,
    /// The text with comments and literals blanked, line by line as it was.
    code: String,
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            code: blank_comments_and_literals(text),
        }
    }

    fn violations(&self, all: &[Source]) -> Vec<String> {
        let mut found = self.upward_imports();
        let is_pure = PURE.contains(&self.layer()) || PURE_FILES.contains(&self.path.as_str());
        if is_pure && !self.is_test_file(all) {
            found.extend(self.named_outside_tests(IMPURE, "must not be used in a pure module"));
        }
        if self.path != LOCKS_ALLOWED_IN && !self.is_test_file(all) {
            found.extend(self.named_outside_tests(
                LOCKS,
                "belongs in src/lock.rs: use `lock::Lock`, whose acquisitions are counted",
            ));
        }
        if !self.path.starts_with(UNSAFE_ALLOWED_UNDER) {
            let places = occurrences(&self.code, "unsafe");
            found.extend(places.map(|at| {
                self.complaint(
                    at,
                    "`unsafe` belongs under src/net/sys/, behind a safe function",
                )
            }));
        }
        found
    }

    /// The first component of the path: `turn` for both `turn.rs` and `turn/server.rs`.
    fn layer(&self) -> &str {
        let first = self.path.split('/').next().unwrap_or_default();
        first.trim_end_matches(".rs")
    }

    fn upward_imports(&self) -> Vec<String> {
        let layer = self.layer();
        // lib.rs declares the modules: it stands beside the house, not in it.
        if layer == "lib" {
            return Vec::new();
        }
        let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == layer) else {
            return vec![format!(
                "src/{}: `{layer}` has no place in LAYERS",
                self.path
            )];
        };
        let imports = self.imported_modules().into_iter();
        imports
            .filter(|(_, name)| LAYERS.iter().any(|(known, _)| known == name))
            .filter(|(_, name)| name != layer && !allowed.contains(&name.as_str()))
            .map(|(at, name)| self.complaint(at, &format!("`{layer}` must not import `{name}`")))
            .collect()
    }

    /// The top-level modules that paths lead to, each with its place in the code.
    fn imported_modules(&self) -> Vec<(usize, String)> {
        let mut imports = Vec::new();
        for root in ["crate", "uturn"] {
            for at in occurrences(&self.code, root) {
                let names = first_segments(&self.code[at + root.len()..]);
                imports.extend(names.into_iter().map(|name| (at, name)));
            }
        }
        for at in occurrences(&self.code, "super") {
            let (steps, rest) = climb(&self.code[at..]);
            if steps >= self.depth() {
                let names = first_segments(rest);
                imports.extend(names.into_iter().map(|name| (at, name)));
            }
        }
        imports
    }

    /// How many `super` lead from this file's module to the crate.
    fn depth(&self) -> usize {
        let below = self.path.split('/').count();
        if self.path.ends_with("/mod.rs") {
            below - 1
        } else {
            below
        }
    }

    /// Complains of words in code that is not of tests.
    fn named_outside_tests(&self, words: &[&str], complaint: &str) -> Vec<String> {
        let code = blank_tests(&self.code);
        let places = |word| occurrences(&code, word).map(move |at| (at, word));
        words
            .iter()
            .flat_map(|word| places(*word))
            .map(|(at, word)| self.complaint(at, &format!("`{word}` {complaint}")))
            .collect()
    }

    /// Whether another file declares this one for tests alone.
    fn is_test_file(&self, all: &[Source]) -> bool {
        all.iter()
            .any(|other| other.has_tests_at_path(&self.path) || other.has_test_module(&self.path))
    }

    /// `#[cfg(test)] #[path = "file.rs"] mod name;` in a file of the same folder.
    fn has_tests_at_path(&self, path: &str) -> bool {
        let (own_folder, _) = self.path.rsplit_once('/').unwrap_or_default();
        let (folder, file) = path.rsplit_once('/').unwrap_or_default();
        if folder != own_folder {
            return false;
        }
        let text: String = self.text.split_whitespace().collect();
        text.contains(&format!("#[cfg(test)]#[path=\"{file}\"]mod"))
    }

    /// `#[cfg(test)] mod name;` in the parent module.
    fn has_test_module(&self, path: &str) -> bool {
        let stem = path.trim_end_matches(".rs").trim_end_matches("/mod");
        let (parent, name) = stem.rsplit_once('/').unwrap_or_default();
        let declaration = format!("mod {name};");
        (self.path == format!("{parent}/mod.rs") || self.path == format!("{parent}.rs"))
            && self.code.contains(&declaration)
            && !blank_tests(&self.code).contains(&declaration)
    }

    fn complaint(&self, at: usize, text: &str) -> String {
        let line = self.code[..at].matches('\n').count() + 1;
        format!("src/{}:{line}: {text}", self.path)
    }
}

fn read_sources(root: &Path, folder: &Path, sources: &mut Vec<Source>) {
    let entries = fs::read_dir(folder).expect("src can be listed");
    for entry in entries {
        let path = entry.expect("src can be listed").path();
        if path.is_dir() {
            read_sources(root, &path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("a source file is UTF-8");
            let below = path.strip_prefix(root).expect("the file is below src");
            sources.push(Source::new(&below.to_string_lossy(), &text));
        }
    }
}

/// The byte offsets at which `word` stands alone, not as a part of a longer identifier.
fn occurrences<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    code.match_indices(word)
        .map(|(at, _)| at)
        .filter(move |&at| {
            let before = code[..at].chars().next_back();
            let after = code[at + word.len()..].chars().next();
            !before.is_some_and(is_identifier) && !after.is_some_and(is_identifier)
        })
}

/// The names behind a leading `::`: one, or each one that a `{…}` group begins with.
fn first_segments(code: &str) -> Vec<String> {
    let Some(rest) = code.trim_start().strip_prefix("::") else {
        return Vec::new();
    };
    match rest.trim_start().strip_prefix('{') {
        None => identifier(rest).into_iter().collect(),
        Some(group) => group_members(group).filter_map(identifier).collect(),
    }
}

fn identifier(code: &str) -> Option<String> {
    let name: String = code
        .trim_start()
        .chars()
        .take_while(|&c| is_identifier(c))
        .collect();
    (!name.is_empty()).then_some(name)
}

/// The members of a group whose opening brace has been read; inner groups belong to their member.
fn group_members(group: &str) -> impl Iterator<Item = &str> {
    let mut depth = 1_usize;
    let end = group.find(|character| {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        depth == 0
    });
    let mut inner = 0_usize;
    group[..end.unwrap_or(group.len())].split(move |character| {
        match character {
            '{' => inner += 1,
            '}' => inner -= 1,
            _ => {}
        }
        character == ',' && inner == 0
    })
}

/// Counts the `super`s of `super::super::…` and returns what follows the last one.
fn climb(code: &str) -> (usize, &str) {
    let mut steps = 0;
    let mut rest = code;
    while let Some(after) = rest.trim_start_matches("::").strip_prefix("super") {
        steps += 1;
        rest = after;
    }
    (steps, rest)
}

#[cfg(test)]
mod the_checker {
    use super::Source;

    fn violations(path: &str, text: &str) -> Vec<String> {
        Source::new(path, text).violations(&[])
    }

    #[test]
    fn reports_an_upward_import_with_its_line() {
        let found = violations("turn/server.rs", "\nuse crate::net::Settings;\n");
        assert_eq!(
            found,
            ["src/turn/server.rs:2: `turn` must not import `net`"]
        );
    }

    #[test]
    fn sees_into_groups_and_inline_paths() {
        let grouped = "use crate::{auth::{Secret, net}, wire, api::Settings};";
        assert_eq!(violations("turn/server.rs", grouped).len(), 1);
        assert_eq!(violations("turn.rs", "fn f() -> crate::cli::X {}").len(), 1);
        assert_eq!(
            violations("main.rs", "fn f() { uturn::net::start() }").len(),
            1
        );
    }

    #[test]
    fn follows_super_to_the_crate_and_no_further_than_it_goes() {
        let climbing = "use super::super::super::api::Settings;";
        assert_eq!(violations("turn/method/refresh.rs", climbing).len(), 1);
        let own_module = "use super::super::net;";
        assert!(violations("turn/method/refresh.rs", own_module).is_empty());
    }

    #[test]
    fn keeps_the_neighbours_apart() {
        assert_eq!(
            violations("auth/mod.rs", "use crate::admission::Quota;").len(),
            1
        );
        assert_eq!(
            violations("admission/quota.rs", "use crate::auth::UnixTime;").len(),
            1
        );
        assert_eq!(
            violations("api/mod.rs", "use crate::turn::Settings;").len(),
            1
        );
    }

    #[test]
    fn lets_downward_imports_pass() {
        assert!(violations("net/mod.rs", "use crate::turn::Server; use crate::wire;").is_empty());
        assert!(violations("api/mod.rs", "use crate::auth::Secret;").is_empty());
        assert!(
            violations(
                "turn/output.rs",
                "use crate::turn::Route; use super::Route;"
            )
            .is_empty()
        );
    }

    #[test]
    fn reads_neither_comments_nor_literals() {
        let text = r##"
            // use crate::net;
            /* /* unsafe */ tokio */
            const A: &str = "crate::net \" unsafe";
            const B: &str = r#"std::thread " tokio"#;
            const C: (char, u8, &[u8]) = ('"', b'\'', b"tokio");
            fn f<'a>(x: &'a str) -> &'a str { x }
        "##;
        assert_eq!(violations("wire/mod.rs", text), Vec::<String>::new());
        let behind = r#"const A: char = '"'; use crate::net; const B: char = '"';"#;
        assert_eq!(violations("wire/mod.rs", behind).len(), 1);
    }

    #[test]
    fn a_module_without_a_place_is_reported() {
        assert_eq!(violations("attic/mod.rs", "").len(), 1);
    }

    #[test]
    fn pure_layers_name_no_clock_socket_or_dice() {
        for text in [
            "let now = Instant::now();",
            "use std::net::UdpSocket;",
            "use std::{io, thread}; fn f() { std::thread::yield_now() }",
            "let mut dice = rand::rng();",
            "async fn f() {}",
        ] {
            assert_eq!(violations("turn/server.rs", text).len(), 1, "{text}");
            assert_eq!(violations("cli/top/state.rs", text).len(), 1, "{text}");
            assert!(violations("net/worker.rs", text).is_empty(), "{text}");
            assert!(violations("cli/top/shell.rs", text).is_empty(), "{text}");
        }
    }

    #[test]
    fn tests_of_pure_layers_may_do_what_they_like() {
        let inline = "#[cfg(test)]\nmod tests { fn f() { rand::rng(); } }";
        assert!(violations("wire/mod.rs", inline).is_empty());
        let behind = format!("{inline}\nfn g() {{ rand::rng(); }}");
        assert_eq!(violations("wire/mod.rs", &behind).len(), 1);

        let parent = Source::new("wire/mod.rs", "#[cfg(test)] mod tests;");
        let file = Source::new("wire/tests.rs", "fn f() { rand::rng(); }");
        assert!(file.violations(&[parent]).is_empty());
        assert_eq!(file.violations(&[]).len(), 1);

        let beside = Source::new(
            "wire/message.rs",
            "#[cfg(test)]\n#[path = \"tests.rs\"]\nmod t;",
        );
        assert!(file.violations(&[beside]).is_empty());
        let always = Source::new("wire/message.rs", "#[path = \"tests.rs\"]\nmod t;");
        assert_eq!(file.violations(&[always]).len(), 1);
    }

    #[test]
    fn locks_are_of_the_kind_that_counts() {
        for text in [
            "use std::sync::{Arc, Mutex};",
            "fn f(lock: &std::sync::RwLock<u8>) {}",
            "use tokio::sync::Mutex as M;",
        ] {
            assert_eq!(violations("net/relay_sockets.rs", text).len(), 1, "{text}");
            assert!(violations("lock.rs", text).is_empty(), "{text}");
            let in_tests = format!("#[cfg(test)]\nmod tests {{ {text} }}");
            assert!(violations("api/limits.rs", &in_tests).is_empty(), "{text}");
        }
        assert!(violations("net/connections.rs", "use crate::lock::Lock;").is_empty());
    }

    #[test]
    fn unsafe_code_stays_in_its_room() {
        let text = "#![allow(unsafe_code)] fn f() { unsafe { g() } }";
        assert_eq!(violations("net/udp.rs", text).len(), 1);
        assert!(violations("net/sys/mmsg.rs", text).is_empty());
    }
}
