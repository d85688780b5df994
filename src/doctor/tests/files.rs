//! Certificates, and who can read what.

use std::path::PathBuf;

use super::{FILE, Facts, Severity, diagnosis, found, loaded, one};
use crate::doctor::{Certificate, File, Identity, Permissions, Service, Unit};

fn certificate() -> Certificate {
    Certificate {
        file: "/etc/cert.pem".into(),
        names: vec!["turn.example.org".into(), "*.example.net".into()],
        days_left: Some(60),
        length: 2,
        is_self_signed: false,
        is_linked: true,
        trusted: Ok(true),
    }
}

fn with(certificate: Certificate) -> Facts {
    Facts {
        certificates: vec![certificate],
        ..Facts::default()
    }
}

#[test]
fn a_certificate_ends_sooner_or_later() {
    let loaded = loaded("");
    for (days, id, severity, says) in [
        (60, "certificate", Severity::Fine, "60 days left"),
        (30, "certificate", Severity::Fine, "30 days left"),
        (
            29,
            "certificate-expires",
            Severity::Warning,
            "ends in 29 days.",
        ),
        (
            7,
            "certificate-expires",
            Severity::Warning,
            "ends in 7 days.",
        ),
        (6, "certificate-expires", Severity::Error, "ends in 6 days."),
        (
            -3,
            "certificate-expired",
            Severity::Error,
            "has expired 3 days ago.",
        ),
    ] {
        let facts = with(Certificate {
            days_left: Some(days),
            ..certificate()
        });
        one(id, severity, says, &facts, &loaded);
    }
}

#[test]
fn a_chain_leads_to_somebody_that_is_trusted() {
    let loaded = loaded("");
    let untrusted = || Certificate {
        trusted: Ok(false),
        ..certificate()
    };
    let alone = with(Certificate {
        length: 1,
        ..untrusted()
    });
    let id = "certificate-chain-incomplete";
    let finding = one(
        id,
        Severity::Error,
        "without the intermediate",
        &alone,
        &loaded,
    );
    assert!(finding.mend[0].contains("fullchain.pem"));
    let unordered = with(Certificate {
        is_linked: false,
        ..untrusted()
    });
    one(id, Severity::Error, "in their order", &unordered, &loaded);
    let own = with(Certificate {
        is_self_signed: true,
        length: 1,
        ..untrusted()
    });
    one(
        "certificate-self-signed",
        Severity::Warning,
        "self-signed",
        &own,
        &loaded,
    );
    one(
        "certificate-untrusted",
        Severity::Warning,
        "does not trust",
        &with(untrusted()),
        &loaded,
    );
    let unknown = with(Certificate {
        trusted: Err("no list".into()),
        ..certificate()
    });
    let unseen = diagnosis(&unknown, &loaded).not_looked_at;
    assert!(
        unseen.iter().any(|unseen| unseen.why == "no list"),
        "{unseen:?}"
    );
}

#[test]
fn the_names_that_clients_are_told_are_in_a_certificate() {
    let api = |uri: &str| {
        loaded(&format!(
            "[api]\nlisten = [\"127.0.0.1:3480\"]\nuris = [\"{uri}\"]"
        ))
    };
    let facts = with(certificate());
    for good in [
        "turns:turn.example.org:443",
        "turns:a.example.net",
        "turn:192.0.2.7:3478",
    ] {
        assert!(
            found("certificate-name", &facts, &api(good)).is_empty(),
            "{good}"
        );
    }
    for bad in [
        "turns:other.example.org:443",
        "turns:example.net",
        "turns:192.0.2.7",
    ] {
        let finding = one(
            "certificate-name",
            Severity::Error,
            "No certificate is for",
            &facts,
            &api(bad),
        );
        assert!(finding.evidence[1].contains("turn.example.org, *.example.net"));
    }
}

fn file(path: &str, steps: &[(&str, u32, u32, u32)]) -> File {
    let way = steps.iter().map(|(path, uid, gid, mode)| Permissions {
        path: PathBuf::from(path),
        uid: *uid,
        gid: *gid,
        mode: *mode,
    });
    File {
        path: path.into(),
        way: way.collect(),
    }
}

fn read_by(service: Service, file: File) -> Facts {
    Facts {
        files: vec![file],
        service,
        ..Facts::default()
    }
}

#[test]
fn a_group_of_others_does_not_read_secrets() {
    let loaded = loaded("");
    let nobody = Service::default;
    let facts = read_by(nobody(), file(FILE, &[(FILE, 0, 100, 0o100_640)]));
    let finding = one(
        "file-readable-by-group",
        Severity::Warning,
        FILE,
        &facts,
        &loaded,
    );
    assert_eq!(finding.mend, [format!("chmod g-rwx {FILE}")]);
    let private = read_by(nobody(), file(FILE, &[(FILE, 0, 100, 0o100_600)]));
    one(
        "files",
        Severity::Fine,
        "by the service alone",
        &private,
        &loaded,
    );
    let services = Service {
        user: Some(Identity {
            uid: 112,
            gids: vec![100],
        }),
        ..nobody()
    };
    let facts = read_by(services, file(FILE, &[(FILE, 0, 100, 0o100_640)]));
    one(
        "files",
        Severity::Fine,
        "by the service alone",
        &facts,
        &loaded,
    );
}

#[test]
fn the_service_reads_its_files_through_every_folder() {
    let loaded = loaded("");
    let key = "/etc/live/key.pem";
    let way = |file_mode, folder_mode| {
        file(
            key,
            &[
                (key, 0, 0, file_mode),
                ("/etc/live", 0, 0, folder_mode),
                ("/etc", 0, 0, 0o755),
            ],
        )
    };
    let service = |text: &str, uid: Option<u32>| Service {
        unit: Some(Unit::parse([text])),
        user: uid.map(|uid| Identity {
            uid,
            gids: vec![uid],
        }),
        ..Service::default()
    };
    let turn = "[Service]\nUser=turn\n";
    let facts = read_by(service(turn, Some(112)), way(0o644, 0o700));
    let finding = one("file-unreadable", Severity::Error, key, &facts, &loaded);
    assert!(
        finding.evidence[0].starts_with("the folder /etc/live"),
        "{finding:?}"
    );
    assert!(finding.mend[0].contains("LoadCredential=key.pem:/etc/live/key.pem"));
    let facts = read_by(service(turn, Some(112)), way(0o600, 0o755));
    let finding = one("file-unreadable", Severity::Error, key, &facts, &loaded);
    assert!(finding.evidence[0].starts_with("the file"), "{finding:?}");
    let dynamic = "[Service]\nDynamicUser=yes\n";
    let facts = read_by(service(dynamic, None), way(0o600, 0o755));
    one("file-unreadable", Severity::Error, key, &facts, &loaded);
    for (text, uid, file_mode) in [
        (turn, Some(112), 0o644),
        (turn, Some(0), 0o600),
        ("[Service]\n", None, 0o600),
        (
            "[Service]\nDynamicUser=yes\nLoadCredential=key.pem:/x\n",
            None,
            0o600,
        ),
    ] {
        let facts = read_by(service(text, uid), way(file_mode, 0o755));
        assert!(
            found("file-unreadable", &facts, &loaded).is_empty(),
            "{text}"
        );
    }
}
