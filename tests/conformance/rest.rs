//! Time-limited credentials (draft-uberti-behave-turn-rest-00).

use std::time::Duration;

use crate::client::attribute::LIFETIME;
use crate::client::{Credentials, Draft, Peer, allocate, method, polled, unix_time};
use crate::target::{Flavour, Target};

/// Draft §2.2: the name is the expiry and an id, the password its HMAC-SHA1 under the shared secret, in base64.
#[test]
fn rst_01_time_limited_credentials_allocate() {
    let Some(server) = Target::rest() else {
        return;
    };
    let mut client = server.udp_as(&Credentials::expiring(&server.secret, 600, "visitor"));
    client.allocate();
}

/// Draft §4.2: past the expiry nothing is allocated.
#[test]
fn rst_02_expired_credentials_get_401() {
    let Some(server) = Target::rest() else {
        return;
    };
    let mut client = server.udp_as(&Credentials::expiring(&server.secret, -60, "visitor"));
    client.call(allocate()).error(401);
}

/// Draft §4.2: the password belongs to one name, expiry and id alike.
#[test]
fn rst_03_name_changed_after_signing_gets_401() {
    let Some(server) = Target::rest() else {
        return;
    };
    let signed = Credentials::expiring(&server.secret, 600, "visitor");
    for name in [
        format!("{}:admin", unix_time(600)),
        format!("{}:visitor", unix_time(6000)),
    ] {
        let mut client = server.udp_as(&Credentials::new(name, &signed.password));
        client.call(allocate()).error(401);
    }
}

/// Draft §2.2: the id may be left out, and the separator with it.
#[test]
fn rst_04_bare_expiry_is_a_name() {
    let Some(server) = Target::rest() else {
        return;
    };
    let name = unix_time(600).to_string();
    let mut client = server.udp_as(&Credentials::signed(&server.secret, name));
    client.allocate();
}

/// Draft §4.2: an allocation outlives its credentials: they make no new one, but go on serving the one they made.
#[test]
fn rst_05_allocation_goes_on_after_expiry() {
    let Some(server) = Target::rest() else {
        return;
    };
    let expiring = Credentials::expiring(&server.secret, 2, "visitor");
    let mut client = server.udp_as(&expiring);
    client.allocate();
    await_expiry(server, &expiring);
    let peer = Peer::at("127.0.0.2");
    client.refresh(None).success();
    client.permit(peer.address());
    client.bind(0x4000, peer.address());
    client.channel_data(0x4000, b"still here");
    peer.expect(b"still here");
}

/// Draft §2.2: the id is the application's own affair, whatever characters it has.
#[test]
fn rst_06_id_is_opaque() {
    let Some(server) = Target::rest() else {
        return;
    };
    for id in ["@visitor:example.org", "a:b:c", "a b", "ü/日本", "600"] {
        let credentials = Credentials::expiring(&server.secret, 600, id);
        server.udp_as(&credentials).allocate();
    }
}

/// While a secret is being replaced, the old one and the new one are good.
#[test]
fn rst_07_any_of_several_secrets_may_sign() {
    let Some(server) = Target::rest() else {
        return;
    };
    let Some(second) = server.second_secret() else {
        return;
    };
    for secret in [&server.secret, second] {
        let credentials = Credentials::expiring(secret, 600, "visitor");
        server.udp_as(&credentials).allocate();
    }
}

/// Where the operator asks for it, an allocation ends with its credentials, and is not granted beyond them.
#[test]
fn rst_05_in_strict_mode_the_allocation_ends_with_its_credentials() {
    let Some(server) = Target::with(Flavour::Strict) else {
        return;
    };
    let expiring = Credentials::expiring(&server.secret, 3, "visitor");
    let mut client = server.udp_as(&expiring);
    let lifetime = client
        .call(allocate())
        .success()
        .lifetime()
        .expect("LIFETIME");
    assert!(
        lifetime <= 3,
        "granted {lifetime} s to credentials that end in 3 s"
    );
    await_expiry(&server, &expiring);
    let refresh = Draft::request(method::REFRESH).put(LIFETIME, 600_u32.to_be_bytes());
    client.call(refresh).error_among(&[401, 437]);
}

/// Waits until `credentials` allocate nothing more.
fn await_expiry(server: &Target, credentials: &Credentials) {
    polled(Duration::from_secs(10), || {
        let answer = server.udp_as(credentials).call(allocate());
        answer.code().map(|_| answer.error(401))
    });
}
