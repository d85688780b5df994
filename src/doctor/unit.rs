//! What a unit of systemd says of the service.

/// The settings of a unit that matter here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unit {
    /// LimitNOFILE=.
    pub descriptors: Option<u64>,
    /// AmbientCapabilities=.
    pub capabilities: Vec<String>,
    /// User=.
    pub user: Option<String>,
    /// DynamicUser=.
    pub is_dynamic: bool,
    /// The names of LoadCredential=.
    pub credentials: Vec<String>,
}

impl Unit {
    /// Reads a unit and its drop-ins, in the order in which they count.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut unit = Self::default();
        for text in texts {
            let mut section = "";
            for line in text.lines().map(str::trim) {
                if line.starts_with('[') {
                    section = line;
                }
                if let ("[Service]", Some((key, value))) = (section, line.split_once('=')) {
                    unit.set(key.trim(), value.trim());
                }
            }
        }
        unit
    }

    fn set(&mut self, key: &str, value: &str) {
        match key {
            "LimitNOFILE" => {
                let hard = value.rsplit(':').next().unwrap_or_default();
                self.descriptors = match hard {
                    "infinity" => Some(u64::MAX),
                    number => number.parse().ok(),
                };
            }
            "AmbientCapabilities" => match value {
                // An empty value forgets what was said before.
                "" => self.capabilities.clear(),
                _ => self
                    .capabilities
                    .extend(value.split_whitespace().map(str::to_owned)),
            },
            "User" => self.user = (!value.is_empty()).then(|| value.to_owned()),
            "DynamicUser" => self.is_dynamic = matches!(value, "yes" | "true" | "1" | "on"),
            "LoadCredential" => match value.split_once(':') {
                Some((name, _)) => self.credentials.push(name.to_owned()),
                None if value.is_empty() => self.credentials.clear(),
                None => self.credentials.push(value.to_owned()),
            },
            _ => {}
        }
    }

    /// Whether it has a capability; a service of root has all.
    pub fn has(&self, capability: &str) -> bool {
        let is_root = !self.is_dynamic && self.user.as_deref().is_none_or(|user| user == "root");
        is_root || self.capabilities.iter().any(|has| has == capability)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_of_this_server_is_read_and_a_drop_in_beats_it() {
        let shipped = include_str!("../../systemd/uturn.service");
        let unit = Unit::parse([shipped]);
        assert_eq!(unit.descriptors, Some(65_536));
        assert!(unit.is_dynamic && !unit.has("CAP_NET_BIND_SERVICE"));
        assert_eq!(unit.credentials, ["secret"]);
        let more = "[Service]\nLimitNOFILE=1024:infinity\nAmbientCapabilities=CAP_NET_BIND_SERVICE\n[Unit]\nUser=no\n";
        let unit = Unit::parse([shipped, more]);
        assert_eq!(unit.descriptors, Some(u64::MAX));
        assert!(unit.has("CAP_NET_BIND_SERVICE") && unit.user.is_none());
        assert!(
            !Unit::parse([shipped, more, "[Service]\nAmbientCapabilities=\n"])
                .has("CAP_NET_BIND_SERVICE")
        );
        assert!(
            Unit::parse(["[Service]\n"]).has("CAP_NET_BIND_SERVICE"),
            "root"
        );
    }
}
