//! `uturn load`: puts load on a TURN server, and tells what it takes.

mod arguments;
mod output;

use std::process::ExitCode;

pub(super) use arguments::Arguments;
use output::Output;

use super::{BAD_CONFIGURATION, FAILED, FINE, complain};
use crate::load;

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let checked = arguments
        .plan()
        .and_then(|plan| Ok((plan, Output::open(arguments.json.as_deref())?)));
    let (plan, mut output) = match checked {
        Ok(checked) => checked,
        Err(sentence) => {
            complain(&sentence);
            return BAD_CONFIGURATION.into();
        }
    };
    output.head(&plan);
    let outcome = load::run(&plan, &mut output);
    let written = output.close(plan.rounds);
    match outcome.map_err(|error| error.to_string()).and(written) {
        Ok(()) => FINE.into(),
        Err(sentence) => {
            complain(&sentence);
            FAILED.into()
        }
    }
}
