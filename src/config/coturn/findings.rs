//! What an import finds out on its way.

/// A sentence, and the line of the old file that it is about.
pub(super) struct Note {
    pub line: Option<usize>,
    pub text: String,
}

/// Something that the old file left open; more is worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Weight {
    Low,
    Medium,
    High,
    Critical,
}

/// Something that the old file left open, and what uturn does there.
pub(super) struct Exposure {
    pub weight: Weight,
    pub lines: Vec<usize>,
    pub was: String,
    pub is: &'static str,
}

/// Everything found.
#[derive(Default)]
pub(super) struct Findings {
    /// Keep a configuration from being written.
    pub errors: Vec<Note>,
    /// What only the operator can decide, beside the rows of the table that say so.
    pub decisions: Vec<Note>,
    /// Where coturn reads otherwise than it looks, or uturn behaves otherwise.
    pub surprises: Vec<Note>,
    pub exposures: Vec<Exposure>,
    /// Certificate and key.
    pub certificate_files: Vec<String>,
}

impl Findings {
    pub fn error(&mut self, line: impl Into<Option<usize>>, text: impl Into<String>) {
        self.errors.push(note(line.into(), text.into()));
    }

    pub fn decision(&mut self, line: impl Into<Option<usize>>, text: impl Into<String>) {
        self.decisions.push(note(line.into(), text.into()));
    }

    pub fn surprise(&mut self, line: impl Into<Option<usize>>, text: impl Into<String>) {
        self.surprises.push(note(line.into(), text.into()));
    }
}

fn note(line: Option<usize>, text: String) -> Note {
    Note { line, text }
}
