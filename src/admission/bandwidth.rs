//! How many bytes per second may be relayed: token buckets, one per direction.

/// Limits in bytes per second, for each direction on its own.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Per allocation.
    pub per_allocation: u64,
    /// Per user id, over all allocations.
    pub per_user: u64,
    /// On this server.
    pub total: u64,
}
