//! The rows, as `rows.toml` has them.

use serde::Deserialize;

const TEXT: &str = include_str!("../rows.toml");

/// All of them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rows {
    #[serde(rename = "chapter")]
    pub chapters: Vec<Chapter>,
}

/// The rows about one thing; their ids have one prefix.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chapter {
    pub title: String,
    #[serde(rename = "row")]
    pub rows: Vec<Row>,
}

/// One requirement; `rows.toml` says what each field is.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    pub id: String,
    pub source: String,
    pub level: String,
    pub tier: String,
    pub requirement: String,
    pub untested: Option<String>,
    pub note: Option<String>,
}

impl Rows {
    /// Reads them; the error says where they are wrong.
    pub fn read() -> Result<Self, String> {
        toml::from_str(TEXT).map_err(|error| format!("tests/conformance/rows.toml: {error}"))
    }

    /// Row after row, over all chapters.
    pub fn all(&self) -> impl Iterator<Item = &Row> {
        self.chapters.iter().flat_map(|chapter| &chapter.rows)
    }
}

/// The id of the row that a test is named after: STN-01 for `stn_01_…`, in whatever module.
pub fn id_in(test: &str) -> Option<String> {
    let name = test.rsplit("::").next()?;
    let (chapter, rest) = name.split_once('_')?;
    let (number, _) = rest.split_once('_')?;
    let is_id = chapter.len() == 3
        && chapter.bytes().all(|byte| byte.is_ascii_lowercase())
        && number.len() == 2
        && number.bytes().all(|byte| byte.is_ascii_digit());
    is_id.then(|| format!("{}-{number}", chapter.to_uppercase()))
}
