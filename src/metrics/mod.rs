//! Prometheus metrics: what the relay has counted, as text that a monitoring system collects.

use std::net::SocketAddr;

/// What the metrics need to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// TCP addresses at which they are shown, to everybody who reaches one.
    pub listen: Vec<SocketAddr>,
    /// The path of the page.
    pub path: String,
    /// Whether coturn's names are shown as well, for dashboards that know them.
    pub coturn_names: bool,
}
