//! One sentence from what was found.

use super::{Attempt, Transport};

/// What it all means.
#[derive(Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether every transport answers.
    pub good: bool,
    /// The sentence.
    pub sentence: String,
}

/// Judges the attempts. It knows of Binding alone, and says so.
pub fn verdict(attempts: &[Attempt]) -> Verdict {
    let answers = |transport| {
        attempts
            .iter()
            .any(|a| a.transport == transport && a.binding.is_ok())
    };
    let asked = |transport| attempts.iter().any(|a| a.transport == transport);
    let (udp, tcp) = (answers(Transport::Udp), answers(Transport::Tcp));
    let good = (udp || !asked(Transport::Udp)) && (tcp || !asked(Transport::Tcp)) && (udp || tcp);
    let sentence = match (udp, tcp) {
        (true, true) => "STUN answers over UDP and TCP; relaying was not tried.",
        (true, false) if good => "STUN answers over UDP; relaying was not tried.",
        (false, true) if good => "STUN answers over TCP; relaying was not tried.",
        (true, false) => "STUN answers over UDP, but not over TCP: open the server's port for TCP.",
        (false, true) => "UDP gets no answer while TCP works: open the server's port for UDP.",
        (false, false) => {
            "The server does not answer: check its address, its port and the firewalls on the way."
        }
    };
    Verdict {
        good,
        sentence: sentence.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_outcome_has_its_sentence() {
        for (udp, tcp, good, says) in [
            (true, true, true, "UDP and TCP"),
            (false, true, false, "open the server's port for UDP"),
            (true, false, false, "open the server's port for TCP"),
            (false, false, false, "does not answer"),
        ] {
            let attempt = |transport, works| Attempt {
                transport,
                server: "192.0.2.1:3478".parse().unwrap(),
                binding: match works {
                    true => Ok(("192.0.2.2:9".parse().unwrap(), std::time::Duration::ZERO)),
                    false => Err("no answer".to_owned()),
                },
            };
            let found = verdict(&[attempt(Transport::Udp, udp), attempt(Transport::Tcp, tcp)]);
            assert_eq!(found.good, good);
            assert!(found.sentence.contains(says), "{}", found.sentence);
        }
    }
}
