//! `uturn probe`: what a client finds at a TURN server.

mod arguments;
mod output;

use std::process::ExitCode;

pub(super) use arguments::{Arguments, timeout};
pub(super) use output::Progress;
use output::print;

use super::{BAD_CONFIGURATION, FAILED, FINE, complain};
use crate::probe;

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let plan = match arguments.plan() {
        Ok(plan) => plan,
        Err(sentence) => {
            complain(&sentence);
            return BAD_CONFIGURATION.into();
        }
    };
    let progress = Progress::new();
    let report = probe::run(&plan, &mut |what| progress.show(what));
    progress.clear();
    let report = match report {
        Ok(report) => report,
        Err(sentence) => {
            complain(&sentence);
            return BAD_CONFIGURATION.into();
        }
    };
    if let Err(error) = print(&report, arguments.json) {
        complain(&format!("cannot write the report: {error}"));
        return FAILED.into();
    }
    if report.verdict.good {
        FINE.into()
    } else {
        FAILED.into()
    }
}
