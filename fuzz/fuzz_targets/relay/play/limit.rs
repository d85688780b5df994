//! What the relay of one input is made from.

use uturn::admission::peer_filter;
use uturn::auth::AfterExpiry;
use uturn::turn::{ChannelNumbers, RelayAddress};

use super::{EXTERNAL, PORTS};
use crate::input::Rules;
use crate::net::setup::{SERVER_V4, SERVER_V6};
use crate::net::{Setup, at, ip};

pub(super) fn limit(setup: &mut Setup, rules: Rules) {
    setup.turn.channel_keeps_permission = rules.channel_keeps_permission;
    if rules.wide_channels {
        setup.turn.channel_numbers = ChannelNumbers::Rfc5766;
    }
    setup.name_rule_in_reply = rules.names_rule;
    setup.turn.max_permissions = 4;
    setup.turn.max_channels = 3;
    if rules.redirects {
        setup.turn.alternates.servers = vec![at("[2600::9]:3478")];
        setup.turn.alternates.domain = Some("turn.example.net".to_owned());
    }
    if rules.strict_end {
        setup.auth.after_expiry = AfterExpiry::End;
    }
    setup.quotas.per_user = 3;
    setup.quotas.per_client_address = 3;
    setup.ports = PORTS;
    let external = rules.nat.then(|| ip(EXTERNAL));
    setup.relay[0] = RelayAddress {
        bind: SERVER_V4,
        external,
    };
    setup.peers = peer_filter::Settings {
        own_addresses: vec![SERVER_V4, SERVER_V6, ip(EXTERNAL)],
        ..peer_filter::Settings::default()
    };
}
