//! Why a load ended before its end.

/// Why a load ended before its end: one sentence for the operator.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct LoadError(String);

impl LoadError {
    pub(super) fn new(sentence: String) -> Self {
        Self(sentence)
    }
}
