//! Whether the service can read its files, and others cannot.

use super::drop_in;
use crate::doctor::{Facts, File, Finding, Identity, Permissions, Subject};

pub(super) fn check(facts: &Facts, subject: &Subject<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in &facts.files {
        findings.extend(too_open(file, facts, subject));
        findings.extend(unreadable(file, facts));
    }
    if findings.is_empty() && !facts.files.is_empty() {
        findings.push(Finding::fine(
            "files",
            "files with secrets are readable by the service alone",
        ));
    }
    findings
}

/// Whether another group can read it. What everybody can read, `check` warns of.
fn too_open(file: &File, facts: &Facts, subject: &Subject<'_>) -> Option<Finding> {
    let own = file.way.first()?;
    let holds_secret = file.path != subject.file
        || subject.loaded.places.realms.iter().any(|realm| {
            let inline = realm
                .secrets
                .iter()
                .any(|place| place.starts_with("`shared_secrets`"));
            inline || !realm.users.is_empty()
        });
    let is_services = identity(facts).is_some_and(|who| who.gids.contains(&own.gid));
    if !holds_secret
        || own.mode & 0o040 == 0
        || own.mode & 0o004 != 0
        || own.gid == 0
        || is_services
    {
        return None;
    }
    let path = file.path.display();
    let sentence = format!("A whole group can read {path}, which holds secrets.");
    Some(
        Finding::warning("file-readable-by-group", sentence)
            .why("Whoever has a shared secret can make credentials for this server.")
            .mend(format!("chmod g-rwx {path}"))
            .evidence(format!("mode {:o}, group {}", own.mode & 0o7777, own.gid)),
    )
}

/// Whether the service's user can read it.
fn unreadable(file: &File, facts: &Facts) -> Option<Finding> {
    let path = file.path.display();
    let name = file.path.file_name()?.to_str()?;
    let unit = facts.service.unit.as_ref();
    let is_credential = unit.is_some_and(|unit| unit.credentials.iter().any(|c| c == name));
    let who = identity(facts);
    let is_dynamic = unit.is_some_and(|unit| unit.is_dynamic);
    let nobody = Identity {
        uid: u32::MAX,
        gids: Vec::new(),
    };
    let who = match (who, is_dynamic) {
        (Some(who), _) => who,
        // A user that is made anew at each start reads what everybody can.
        (None, true) => &nobody,
        (None, false) => return None,
    };
    let blocked = file.way.iter().find(|step| {
        let wanted = if step.path == file.path { 0o4 } else { 0o1 };
        !may(who, step, wanted)
    })?;
    if is_credential || who.uid == 0 {
        return None;
    }
    let sentence = format!("The service's user cannot read {path}.");
    let reason = match blocked.path == file.path {
        true => "the file does not let it".to_owned(),
        false => format!(
            "the folder {} does not let it through",
            blocked.path.display()
        ),
    };
    let credential = format!("LoadCredential={name}:{path}");
    Some(
        Finding::error("file-unreadable", sentence)
            .why("uturn would not start, or not with this file.")
            .mend(
                drop_in(&[&credential])
                    + &format!("    (and \"{name}\" as the path in the configuration)"),
            )
            .evidence(format!(
                "{reason}: mode {:o}, owner {}, group {}",
                blocked.mode & 0o7777,
                blocked.uid,
                blocked.gid
            )),
    )
}

fn identity(facts: &Facts) -> Option<&Identity> {
    let running = facts
        .service
        .running
        .as_ref()
        .map(|process| &process.identity);
    running.or(facts.service.user.as_ref())
}

fn may(who: &Identity, step: &Permissions, wanted: u32) -> bool {
    let shift = if who.uid == step.uid {
        6
    } else if who.gids.contains(&step.gid) {
        3
    } else {
        0
    };
    who.uid == 0 || step.mode >> shift & wanted == wanted
}
