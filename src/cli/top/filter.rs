//! Which rows are wanted: words that an operator has typed.

use crate::admin::model::Session;

/// Words, each of which has to be in one of a session's texts; `user:`, `client:`, `realm:` or `via:` before a word says in which.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Filter {
    text: String,
}

impl Filter {
    /// As it was typed.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Adds what is typed; what does not fit is lost.
    pub(super) fn push(&mut self, typed: char) {
        if !typed.is_control() && self.text.chars().count() < MAX_TEXT {
            self.text.push(typed);
        }
    }

    /// Takes the last character back.
    pub(super) fn pop(&mut self) {
        self.text.pop();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.text.trim().is_empty()
    }

    /// The test that it stands for.
    pub(super) fn test(&self) -> impl Fn(&Session) -> bool + use<> {
        let lower = self.text.to_lowercase();
        let words: Vec<(Option<Field>, String)> = lower.split_whitespace().map(word).collect();
        move |session| {
            words.iter().all(|(field, word)| match field {
                Some(field) => field.text(session).contains(word),
                None => Field::ALL
                    .iter()
                    .any(|field| field.text(session).contains(word)),
            })
        }
    }
}

fn word(typed: &str) -> (Option<Field>, String) {
    let named = typed.split_once(':').and_then(|(name, word)| {
        let field = match name {
            "user" => Field::User,
            "client" => Field::Client,
            "realm" => Field::Realm,
            "via" | "transport" => Field::Via,
            _ => return None,
        };
        Some((Some(field), word.to_owned()))
    });
    named.unwrap_or_else(|| (None, typed.to_owned()))
}

#[derive(Clone, Copy)]
enum Field {
    User,
    Client,
    Realm,
    Via,
}

impl Field {
    const ALL: [Self; 4] = [Self::User, Self::Client, Self::Realm, Self::Via];

    fn text(self, session: &Session) -> String {
        match self {
            Self::User => session.user.to_lowercase(),
            Self::Client => session.client.to_string(),
            Self::Realm => session.realm.to_lowercase(),
            Self::Via => session.transport.to_lowercase(),
        }
    }
}

/// The longest filter, in characters.
const MAX_TEXT: usize = 100;
