//! `uturn load`: puts load on a TURN server, and tells what it takes.

mod arguments;
mod output;
pub(super) mod values;

use std::io;
use std::process::ExitCode;
use std::thread;

use tokio::signal::unix::{SignalKind, signal};

pub(super) use arguments::Arguments;
use output::Output;

use super::{BAD_CONFIGURATION, FAILED, FINE, complain};
use crate::load::{self, Stop};

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
    if let Err(error) = stop_by_signal(plan.stop.clone()) {
        complain(&format!("cannot take signals: {error}"));
        return FAILED.into();
    }
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

/// Has the first Ctrl-C end the load, so that the server is left without its allocations, and the second one the program.
fn stop_by_signal(stop: Stop) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let mut interrupt = {
        let _inside = runtime.enter();
        signal(SignalKind::interrupt())?
    };
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            runtime.block_on(interrupt.recv());
            stop.set();
            runtime.block_on(interrupt.recv());
            std::process::exit(FAILED.into());
        })?;
    Ok(())
}
