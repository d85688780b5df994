//! A limit on replies to sources that have not authenticated, in a table of fixed size.

/// Replies to one source address (IPv6: one /64) that has not authenticated.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Sustained rate.
    pub per_second: u32,
    /// At once, after a pause.
    pub burst: u32,
}
