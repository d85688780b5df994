//! What a worker answers to those who ask about it.

use std::sync::Arc;

use super::{Worker, now};
use crate::net::dtls::Dtls;
use crate::net::observer::{Answer, Ask, Question, Report, ShellCounters};
use crate::net::{Listener, ListenerTransport, sys};

impl Worker {
    /// Answers one question: a bounded piece of work.
    pub(super) fn answer(&mut self, ask: Ask) {
        let answer = match ask.question {
            Question::Report => Answer::Report(Box::new(self.report())),
            Question::Sessions { from, limit } => {
                Answer::Sessions(self.server.sessions(from, limit, now()))
            }
            Question::Session(serial) => {
                Answer::Session(self.server.session(serial, now()).map(Box::new))
            }
            Question::End(serial) => {
                let now = now();
                let ended = self.server.handle_end(serial, now);
                self.do_outputs(now);
                Answer::Ended(ended)
            }
            Question::Watch(serial, watcher) => {
                let watched = self.server.handle_watch(serial, now());
                if watched.is_ok() {
                    self.watched.add(serial, watcher);
                }
                Answer::Watched(watched)
            }
        };
        // Whoever has asked may have given up.
        let _ = ask.answer.try_send(answer);
    }

    fn report(&self) -> Report {
        let realms = self.server.realm_counters();
        let realms = realms.map(|(name, counters)| (Arc::clone(name), counters.clone()));
        Report {
            counters: self.server.counters().clone(),
            realms: realms.collect(),
            peer_connections: self.server.peer_connections(),
            shell: ShellCounters {
                turns: self.turns,
                busy: sys::thread_cpu_time(),
                not_sent: self.not_sent,
                lost_between_workers: self.handovers.lost,
                kernel_drops_of_listeners: self.kernel_drops_of_listeners(),
                kernel_drops_of_relays: self.kernel_drops.of_relays(),
                accepted: self.streams.accepted(),
                streams: self.streams.counters(),
                dtls: self.dtls.as_ref().map(Dtls::counters).unwrap_or_default(),
            },
        }
    }

    fn kernel_drops_of_listeners(&self) -> Vec<(Listener, u64)> {
        let listeners = self.listeners.iter().map(|listener| {
            let address = listener.local;
            let transport = ListenerTransport::Udp;
            (
                Listener { transport, address },
                listener.kernel_drops.into(),
            )
        });
        listeners.collect()
    }
}
