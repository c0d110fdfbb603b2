//! `--format`: Go's templates, as far as people use them, over JSON.
//!
//! `{{.Names}}`, `{{json .}}`, `{{range $name, $network := .NetworkSettings.Networks}}…{{end}}`, `{{if}}`,
//! `{{with}}`, pipelines, variables, and Docker's functions. Pure.
//!
//! Source: Go's `text/template`; docker/cli's `templates`.

use serde_json::Value;

use self::parse::{Node, parse};
use crate::error::{Error, Result};

mod functions;
mod parse;
mod printf;
mod render;

pub use functions::quoted;
pub use parse::Column;

#[cfg(test)]
mod tests;

/// The key at which a row has its labels for `{{.Label "NAME"}}`. The key itself is never shown.
pub const LABELS: &str = "(labels)";

/// A row as it is shown.
pub fn shown(row: &Value) -> Value {
    let mut row = row.clone();
    if let Some(fields) = row.as_object_mut() {
        fields.remove(LABELS);
    }
    row
}

/// A template that was read.
#[derive(Clone, Debug)]
pub struct Template {
    text: String,
    nodes: Vec<Node>,
}

impl Template {
    /// Errors: what is no template, in one line that says where.
    pub fn parse(text: &str) -> Result<Template> {
        let nodes = parse(text).map_err(|why| Error::new(format!("template: {text}: {why}")))?;
        Ok(Template { text: text.to_owned(), nodes })
    }

    /// The text for one value.
    ///
    /// Errors: a field that the value doesn't have.
    pub fn render(&self, value: &Value) -> Result<String> {
        render::render(&self.nodes, &shown(value), value.get(LABELS))
            .map_err(|why| Error::new(self.located(&why)))
    }

    /// What is wrong, in Go's words, with the place of the part that it is about: that of the second name in a chain.
    fn located(&self, why: &str) -> String {
        let part = why.strip_prefix(render::EXECUTING).and_then(|rest| rest.split('>').next());
        let Some(part) = part else { return format!("template: {why}") };
        let first = part.char_indices().skip(1).find(|(_, c)| *c == '.').map_or(0, |(at, _)| at);
        let start = self.text.find(part).unwrap_or_default();
        let (before, line) = (&self.text[..start], self.text[..start].rfind('\n').map_or(0, |at| at + 1));
        let row = before.matches('\n').count() + 1;
        format!("template parsing error: template: :{row}:{}: {why}", start - line + first)
    }

    /// The fields and labels that stand alone in `{{.Field}}`, in their order: a table's columns.
    pub fn columns(&self) -> Vec<Column<'_>> {
        self.nodes.iter().filter_map(Node::column).collect()
    }
}
