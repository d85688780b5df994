//! Whether clients will trust the certificates.

use crate::doctor::{Certificate, Facts, Finding, Subject, Unseen};
use crate::wire::uri::{Host, ServerUri};

pub(super) fn check(
    facts: &Facts,
    subject: &Subject<'_>,
    unseen: &mut Vec<Unseen>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for certificate in &facts.certificates {
        let before = findings.len();
        findings.extend(end(certificate));
        findings.extend(chain(certificate, unseen));
        if findings.len() == before {
            let days = certificate.days_left.unwrap_or_default();
            let file = certificate.file.display();
            findings.push(Finding::fine(
                "certificate",
                format!("{file} is trusted, with {days} days left"),
            ));
        }
    }
    findings.extend(names(facts, subject));
    findings
}

fn end(certificate: &Certificate) -> Option<Finding> {
    let file = certificate.file.display();
    let days = certificate.days_left?;
    let found = match days {
        ..0 => Finding::error(
            "certificate-expired",
            format!("The certificate {file} has expired {} days ago.", -days),
        )
        .why("Clients over TLS refuse it."),
        0..7 => Finding::error(
            "certificate-expires",
            format!("The certificate {file} ends in {days} days."),
        )
        .why("Clients over TLS refuse it from then on; its renewal should have happened by now."),
        7..30 => Finding::warning(
            "certificate-expires",
            format!("The certificate {file} ends in {days} days."),
        )
        .why("Authorities' clients renew 30 days before the end: see whether that fails."),
        _ => return None,
    };
    let renew = "renew it with the client that fetched it (certbot renew, acme.sh --cron, …), then: systemctl restart uturn";
    Some(found.mend(renew))
}

fn chain(certificate: &Certificate, unseen: &mut Vec<Unseen>) -> Option<Finding> {
    let file = certificate.file.display();
    let trusted = match &certificate.trusted {
        Ok(trusted) => *trusted,
        Err(why) => {
            unseen.push(Unseen {
                what: format!("whether {file} is trusted"),
                why: why.clone(),
            });
            return None;
        }
    };
    if trusted {
        return None;
    }
    if certificate.is_self_signed {
        let sentence = format!("The certificate {file} is self-signed.");
        return Some(
            Finding::warning("certificate-self-signed", sentence)
                .why("Browsers refuse `turns:` with it, and tell nobody why.")
                .mend("use one of a public authority, such as Let's Encrypt"),
        );
    }
    if certificate.length == 1 || !certificate.is_linked {
        let what = match certificate.length {
            1 => "holds one certificate alone, without the intermediate one that vouches for it",
            _ => "holds certificates that do not vouch for one another in their order",
        };
        return Some(
            Finding::error("certificate-chain-incomplete", format!("{file} {what}."))
                .why("Many clients refuse it (browsers on desktops may fill the gap, phones and servers do not).")
                .mend("certificate = \"…/fullchain.pem\" in [tls], the file that certbot writes beside cert.pem")
                .mend("cat cert.pem intermediate.pem > fullchain.pem")
                .evidence(format!("certificates in the file: {}", certificate.length)),
        );
    }
    let sentence = format!("This system does not trust who signed {file}.");
    Some(
        Finding::warning("certificate-untrusted", sentence)
            .why("Where clients do not trust a private authority, they refuse it.")
            .mend("use one of a public authority, or install the private one on the clients")
            .evidence(format!("certificates in the file: {}", certificate.length)),
    )
}

/// Whether the names that clients are told are in a certificate.
fn names(facts: &Facts, subject: &Subject<'_>) -> Vec<Finding> {
    let own: Vec<_> = facts.certificates.iter().flat_map(|c| &c.names).collect();
    if own.is_empty() {
        return Vec::new();
    }
    let checked = &subject.loaded.checked;
    let uris = checked.api.iter().flat_map(|api| &api.uris);
    let told = uris.filter_map(|uri| {
        let parsed: ServerUri = uri.parse().ok()?;
        let host = match parsed.host {
            Host::Name(name) => name,
            Host::Address(ip) => ip.to_string(),
        };
        parsed
            .scheme
            .is_secure()
            .then(|| (host, format!("`uris` in [api]: {uri}")))
    });
    let realms = checked.relay.realms.iter();
    let asked = realms.flat_map(|realm| {
        let names = realm.chosen_by.server_names.iter();
        names.map(|name| {
            (
                name.clone(),
                format!("`server_names` of the realm `{}`", realm.auth.realm),
            )
        })
    });
    let missing = told
        .chain(asked)
        .filter(|(name, _)| !own.iter().any(|own| covers(own, name)));
    let shown: Vec<_> = own.iter().map(|name| name.as_str()).collect();
    missing
        .map(|(name, place)| {
            Finding::error(
                "certificate-name",
                format!("No certificate is for {name}, which clients are told to use."),
            )
            .why("Clients over TLS refuse a certificate for another name.")
            .mend(format!(
                "get a certificate for {name}, or tell clients one of the names below"
            ))
            .evidence(place)
            .evidence(format!("names in the certificates: {}", shown.join(", ")))
        })
        .collect()
}

fn covers(own: &str, name: &str) -> bool {
    let of_wildcard = own.strip_prefix('*');
    let is_within = |domain: &str| {
        name.find('.')
            .is_some_and(|dot| name[dot..].eq_ignore_ascii_case(domain))
    };
    own.eq_ignore_ascii_case(name) || of_wildcard.is_some_and(is_within)
}
