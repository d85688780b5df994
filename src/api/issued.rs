//! How many credentials were issued, by who may ask for them: each name is the configuration's.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Settings;
use super::caller::Caller;

/// What proves who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// An API key.
    Key,
    /// A token.
    Token,
    /// Nothing, where none is configured.
    None,
}

impl Proof {
    /// A word for metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Token => "token",
            Self::None => "none",
        }
    }
}

/// Credentials that were issued.
pub struct IssuedCounts(Vec<Count>);

struct Count {
    proof: Proof,
    name: String,
    issued: AtomicU64,
}

impl IssuedCounts {
    pub(super) fn new(settings: &Settings) -> Self {
        let keys = settings.keys.iter().map(|key| (Proof::Key, &key.name));
        let tokens = settings.tokens.iter().map(|key| (Proof::Token, &key.name));
        let named = keys
            .chain(tokens)
            .map(|(proof, name)| (proof, name.clone()));
        let mut all: Vec<_> = named.collect();
        if all.is_empty() {
            all.push((Proof::None, String::new()));
        }
        let counts = all.into_iter().map(|(proof, name)| Count {
            proof,
            name,
            issued: AtomicU64::new(0),
        });
        Self(counts.collect())
    }

    pub(super) fn count(&self, caller: &Caller) {
        let (proof, name) = match caller {
            Caller::Key(name) => (Proof::Key, name.as_str()),
            Caller::Token { key, .. } => (Proof::Token, key.as_str()),
            Caller::Anyone => (Proof::None, ""),
        };
        let mut all = self.0.iter();
        if let Some(count) = all.find(|count| count.proof == proof && count.name == name) {
            count.issued.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many for each key and token, by name.
    pub fn all(&self) -> impl Iterator<Item = (Proof, &str, u64)> {
        let all = self.0.iter();
        all.map(|count| {
            let issued = count.issued.load(Ordering::Relaxed);
            (count.proof, count.name.as_str(), issued)
        })
    }
}
