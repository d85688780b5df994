//! What became of a test, and what follows for its row.

use std::fmt;
use std::str::FromStr;

/// What became of one test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Passed,
    /// With what it said.
    Failed(String),
    /// It did not run, or not in full; with why not.
    NotRun(String),
}

/// What the table says of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All its tests passed.
    Pass,
    /// Those of its tests that could be run passed; with why others could not.
    PassInPart(String),
    /// A test failed.
    Fail,
    /// No test could be run in full; with why not.
    NotRun(String),
}

impl Verdict {
    /// What follows from what became of a row's tests. A row without any has not run.
    pub fn of<'a>(outcomes: impl IntoIterator<Item = &'a Outcome>) -> Self {
        let mut passed = false;
        let mut reasons = Vec::new();
        for outcome in outcomes {
            match outcome {
                Outcome::Failed(_) => return Self::Fail,
                Outcome::Passed => passed = true,
                Outcome::NotRun(reason) if reasons.contains(reason) => {}
                Outcome::NotRun(reason) => reasons.push(reason.clone()),
            }
        }
        let reason = reasons.join("; ");
        match (passed, reasons.is_empty()) {
            (true, true) => Self::Pass,
            (true, false) => Self::PassInPart(reason),
            (false, false) => Self::NotRun(reason),
            (false, true) => Self::NotRun("no test".to_owned()),
        }
    }
}

const PASS: &str = "pass";
const PASS_IN_PART: &str = "pass in part: ";
const FAIL: &str = "**fail**";
const NOT_RUN: &str = "not run: ";

/// As a cell of the table has it.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pass => f.write_str(PASS),
            Self::PassInPart(reason) => write!(f, "{PASS_IN_PART}{reason}"),
            Self::Fail => f.write_str(FAIL),
            Self::NotRun(reason) => write!(f, "{NOT_RUN}{reason}"),
        }
    }
}

impl FromStr for Verdict {
    type Err = String;

    fn from_str(cell: &str) -> Result<Self, String> {
        match cell {
            PASS => return Ok(Self::Pass),
            FAIL => return Ok(Self::Fail),
            _ => {}
        }
        if let Some(reason) = cell.strip_prefix(PASS_IN_PART) {
            return Ok(Self::PassInPart(reason.to_owned()));
        }
        match cell.strip_prefix(NOT_RUN) {
            Some(reason) => Ok(Self::NotRun(reason.to_owned())),
            None => Err(format!("{cell:?} is no verdict")),
        }
    }
}
