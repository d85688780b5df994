//! Whether secrets can be guessed. Their length, and examples out of manuals, are for `check`.

use crate::auth::{Secret, StaticPassword};
use crate::doctor::{Finding, Subject};

pub(super) fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let relay = &subject.loaded.checked.relay;
    let realms = relay.realms.iter().map(|realm| &realm.auth);
    let all = std::iter::once(&relay.auth).chain(realms);
    let mut findings = Vec::new();
    for (auth, places) in all.zip(&subject.loaded.places.realms) {
        for (number, secret) in auth.shared_secrets.iter().enumerate() {
            let place = places.secrets.get(number).cloned().unwrap_or_default();
            let called = format!("Shared secret {} of the realm `{}`", number + 1, auth.realm);
            findings.extend(weak(&called, secret, MACHINE_BITS, place));
        }
        for (number, user) in auth.static_users.iter().enumerate() {
            let place = places.users.get(number).cloned().unwrap_or_default();
            if let StaticPassword::Plain(password) = &user.password {
                let called = format!("The password of the user `{}`", user.name);
                findings.extend(weak(&called, password, PASSWORD_BITS, place));
            }
        }
    }
    if findings.is_empty() {
        findings.push(Finding::fine(
            "secrets",
            "secrets and passwords are hard to guess",
        ));
    }
    findings
}

fn weak(called: &str, secret: &Secret, wanted: f64, place: String) -> Option<Finding> {
    let bits = bits(secret.expose());
    (bits < wanted).then(|| {
        let sentence = format!("{called} is made of few different characters, or short.");
        Finding::warning("secret-weak", sentence)
            .why("Whoever sees one login can try guesses at home, as fast as a computer hashes.")
            .mend("openssl rand -base64 32    (and the same in the app that makes credentials)")
            .evidence(format!(
                "at most {bits:.0} bits by its characters; {wanted:.0} are few ({place})"
            ))
    })
}

/// Bits that its characters could have at most, each by how often it is there.
pub(super) fn bits(secret: &[u8]) -> f64 {
    let mut counts = [0u32; 256];
    for byte in secret {
        counts[usize::from(*byte)] += 1;
    }
    let length = secret.len() as f64;
    let of = |count: &u32| f64::from(*count) * (length / f64::from(*count)).log2();
    counts.iter().filter(|count| **count > 0).map(of).sum()
}

const MACHINE_BITS: f64 = 60.0;
const PASSWORD_BITS: f64 = 20.0;
