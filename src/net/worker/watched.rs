//! Who watches sessions of this worker.

use super::Worker;
use crate::net::observer::Watcher;
use crate::turn::{Seen, Server, Traced};

/// Those who watch: no more than [`crate::turn::MAX_WATCHES`].
#[derive(Default)]
pub(super) struct Watched(Vec<Watching>);

struct Watching {
    serial: u64,
    watcher: Box<dyn Watcher>,
    /// Lines that it has had no room for.
    lost: u64,
}

impl Watched {
    pub(super) fn add(&mut self, serial: u64, watcher: Box<dyn Watcher>) {
        self.0.push(Watching {
            serial,
            watcher,
            lost: 0,
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Tells what was seen, and forgets those whose session has ended.
    fn tell(&mut self, server: &mut Server) {
        while let Some(line) = server.poll_trace() {
            let mut all = self.0.iter_mut();
            let Some(watching) = all.find(|watching| watching.serial == line.serial) else {
                continue;
            };
            let has_ended = matches!(line.what, Seen::Ended(_));
            watching.tell(line);
            if has_ended {
                let ended = watching.serial;
                self.0.retain(|watching| watching.serial != ended);
            }
        }
    }

    /// Forgets those that are gone.
    fn look(&mut self, server: &mut Server) {
        self.0.retain(|watching| {
            let is_gone = watching.watcher.is_gone();
            if is_gone {
                server.handle_unwatch(watching.serial);
            }
            !is_gone
        });
    }
}

impl Watching {
    /// A slow reader loses lines, and is told how many before the next one.
    fn tell(&mut self, line: Traced) {
        if self.lost > 0 {
            let missing = Traced {
                what: Seen::Skipped(self.lost),
                ..line
            };
            if !self.watcher.tell(missing) {
                self.lost += 1;
                return;
            }
            self.lost = 0;
        }
        if !self.watcher.tell(line) {
            self.lost += 1;
        }
    }
}

impl Worker {
    /// Tells those who watch what has been seen in this turn, and finds out who is gone: there is a turn every second.
    pub(super) fn tell_watchers(&mut self) {
        self.watched.tell(&mut self.server);
        self.watched.look(&mut self.server);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
    use std::time::Instant;

    use super::*;
    use crate::turn::EndReason;

    struct Slow(SyncSender<Traced>);

    impl Watcher for Slow {
        fn tell(&mut self, line: Traced) -> bool {
            self.0.try_send(line).is_ok()
        }

        fn is_gone(&self) -> bool {
            false
        }
    }

    fn line(lines: u64) -> Traced {
        Traced {
            serial: 1,
            at: Instant::now(),
            what: Seen::Skipped(lines),
        }
    }

    fn read(all: &Receiver<Traced>) -> Vec<Seen> {
        all.try_iter().map(|line| line.what).collect()
    }

    #[test]
    fn a_slow_reader_loses_lines_and_is_told_how_many() {
        let (sender, reader) = sync_channel(2);
        let mut watching = Watching {
            serial: 1,
            watcher: Box::new(Slow(sender)),
            lost: 0,
        };
        for number in 100..105 {
            watching.tell(line(number));
        }
        assert_eq!(read(&reader), [Seen::Skipped(100), Seen::Skipped(101)]);
        let end = Traced {
            what: Seen::Ended(EndReason::Expired),
            ..line(0)
        };
        watching.tell(end);
        let told = [Seen::Skipped(3), Seen::Ended(EndReason::Expired)];
        assert_eq!(read(&reader), told);
    }
}
