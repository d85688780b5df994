//! What is wrong with a configuration, shown at its place in the file.

use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Level, Origin, Renderer, Snippet};

use super::redact::redacted;

/// A range of bytes in the configuration's text.
pub type Span = Range<usize>;

/// One thing that is wrong, or that deserves a look.
#[derive(Clone, Debug)]
pub struct Problem {
    severity: Severity,
    title: String,
    span: Option<Span>,
    label: String,
    also: Option<(Span, String)>,
    help: Option<String>,
    topic: Option<Topic>,
}

/// What a problem is about, where `doctor` looks at the same with more to go by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// Peers are told a private address.
    PrivateRelayAddress,
    /// A certificate has expired, or is not valid yet.
    CertificateDates,
}

/// A problem as plain text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Whether it keeps the configuration from being served.
    pub is_error: bool,
    /// What is wrong, in one clause.
    pub title: String,
    /// What to write or to do instead.
    pub help: Option<String>,
    /// Where it stands, counted from 1.
    pub line: Option<usize>,
    /// What it is about, where somebody else asks.
    pub topic: Option<Topic>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Severity {
    Error,
    Warning,
}

impl Problem {
    /// Something that cannot be served; `title` is one clause without a full stop.
    pub fn error(span: impl Into<Option<Span>>, title: impl Into<String>) -> Self {
        Self::new(Severity::Error, span.into(), title.into())
    }

    /// Something that can be served, but that an operator should look at.
    pub fn warning(span: impl Into<Option<Span>>, title: impl Into<String>) -> Self {
        Self::new(Severity::Warning, span.into(), title.into())
    }

    fn new(severity: Severity, span: Option<Span>, title: String) -> Self {
        Self {
            severity,
            title,
            span,
            label: String::new(),
            also: None,
            help: None,
            topic: None,
        }
    }

    /// Stands beside the underlined place.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Underlines a second place, such as the first of two duplicates.
    pub fn also(mut self, span: Option<Span>, label: impl Into<String>) -> Self {
        self.also = span.map(|span| (span, label.into()));
        self
    }

    /// What to write or to do instead.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// What it is about.
    pub fn about(mut self, topic: Topic) -> Self {
        self.topic = Some(topic);
        self
    }

    /// What is wrong, in one clause.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// Whether it keeps the configuration from being served.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    fn render(&self, renderer: &Renderer, file: &str, text: &str) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let title = level.primary_title(self.title.as_str());
        let mut group = match &self.span {
            None => title.element(Origin::path(file)),
            Some(span) => {
                let place = AnnotationKind::Primary.span(span.clone());
                let also = self.also.iter().map(|(span, label)| {
                    AnnotationKind::Context
                        .span(span.clone())
                        .label(label.as_str())
                });
                let label = Some(self.label.as_str()).filter(|label| !label.is_empty());
                title.element(
                    Snippet::source(text)
                        .path(file)
                        .annotation(place.label(label))
                        .annotations(also),
                )
            }
        };
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        renderer.render(&[group])
    }
}

/// Everything found in one file, in the order of its lines.
pub struct Report {
    file: String,
    text: String,
    problems: Vec<Problem>,
    is_unread: bool,
}

impl Report {
    pub(super) fn new(file: String, text: &str, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| problem.span.as_ref().map_or(usize::MAX, |s| s.start));
        Self {
            file,
            text: redacted(text),
            problems,
            is_unread: false,
        }
    }

    /// The configuration could not even be read.
    pub(super) fn unread(file: String, problem: Problem) -> Self {
        Self {
            is_unread: true,
            ..Self::new(file, "", vec![problem])
        }
    }

    /// Whether the configuration could not even be read.
    pub fn is_unread(&self) -> bool {
        self.is_unread
    }

    /// Whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    /// The problems as plain text, in the order of the file's lines.
    pub fn entries(&self) -> impl Iterator<Item = Entry> + '_ {
        self.problems.iter().map(|problem| Entry {
            is_error: problem.is_error(),
            title: problem.title.clone(),
            help: problem.help.clone(),
            line: (problem.span.as_ref()).map(|span| line_of(&self.text, span)),
            topic: problem.topic,
        })
    }

    /// How many problems keep the configuration from being served.
    pub fn errors(&self) -> usize {
        self.count(Severity::Error)
    }

    /// How many problems deserve a look.
    pub fn warnings(&self) -> usize {
        self.count(Severity::Warning)
    }

    fn count(&self, severity: Severity) -> usize {
        let same = |problem: &&Problem| problem.severity == severity;
        self.problems.iter().filter(same).count()
    }

    /// The report as compilers print theirs; secrets in quoted lines are masked.
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour {
            Renderer::styled()
        } else {
            Renderer::plain()
        };
        self.problems
            .iter()
            .map(|problem| problem.render(&renderer, &self.file, &self.text) + "\n\n")
            .collect()
    }
}

/// The line that a place is in, counted from 1.
pub(super) fn line_of(text: &str, span: &Span) -> usize {
    let before = &text.as_bytes()[..span.start.min(text.len())];
    before.iter().filter(|byte| **byte == b'\n').count() + 1
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
