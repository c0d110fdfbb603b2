//! Lists: a table, JSON lines, or a template for each row.

use serde_json::Value;

use super::template::{self, Template};
use crate::error::Result;

/// How wide a column is at least, and what is between two.
const WIDTH_MIN: usize = 10;
const GAP: usize = 3;

/// A column: the field of a row, and its heading.
pub type Column = (&'static str, &'static str);

/// Rows as `--format` asks for them: none or `table` for `columns`, `json`, `table TEMPLATE` or a template.
///
/// Errors: what is no template, and fields that rows don't have.
pub fn list(rows: &[Value], columns: &[Column], headings: &[Column], format: Option<&str>) -> Result<String> {
    match format {
        None | Some("" | "table") => {
            let template: Vec<String> =
                columns.iter().map(|(field, _)| format!("{{{{.{field}}}}}")).collect();
            table(rows, &template.join("\t"), columns)
        }
        Some("json") => Ok(rows.iter().map(|row| format!("{}\n", template::shown(row))).collect()),
        Some(format) => match format.strip_prefix("table ") {
            Some(template) => table(rows, &unescaped(template), headings),
            None => {
                let template = Template::parse(&unescaped(format))?;
                rows.iter().map(|row| template.render(row).map(|line| line + "\n")).collect()
            }
        },
    }
}

/// People type `\t` in a shell's quotes.
fn unescaped(template: &str) -> String {
    template.replace("\\t", "\t").replace("\\n", "\n")
}

/// A row of headings, and a row for each value. Tabs are between columns.
fn table(rows: &[Value], template: &str, headings: &[Column]) -> Result<String> {
    let template = Template::parse(template)?;
    let heading = |column: template::Column| match column {
        template::Column::Field(field) => {
            let known = headings.iter().find(|(name, _)| *name == field);
            known.map_or_else(|| field.to_uppercase(), |(_, heading)| (*heading).to_owned())
        }
        // As Docker has it, the last part of the label's name.
        template::Column::Label(name) => name.rsplit('.').next().unwrap_or(name).replace(['-', '_'], " "),
    };
    let first = template.columns().into_iter().map(heading).collect();
    let mut lines: Vec<Vec<String>> = vec![first];
    for row in rows {
        let line = template.render(row)?;
        lines.push(line.split('\t').map(str::to_owned).collect());
    }
    Ok(aligned(&lines))
}

/// Cells below each other, with spaces between them. The last of a line has none after it.
pub fn aligned(lines: &[Vec<String>]) -> String {
    let count = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells =
            lines.iter().filter(|line| line.len() > column + 1).map(|line| line[column].chars().count());
        (cells.max().unwrap_or(0) + GAP).max(WIDTH_MIN)
    };
    let widths: Vec<usize> = (0..count).map(width).collect();
    let line = |cells: &Vec<String>| {
        let (last, rest) = match cells.split_last() {
            Some((last, rest)) => (last.as_str(), rest),
            None => ("", &[][..]),
        };
        let rest: String = rest.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        rest + last + "\n"
    };
    lines.iter().map(line).collect()
}

/// The beginning of a text that is too long, with a mark at its end.
pub fn shortened(text: &str, length: usize) -> String {
    if text.chars().count() <= length {
        return text.to_owned();
    }
    text.chars().take(length - 1).chain(['…']).collect()
}

/// Bytes as Docker writes them, in powers of 1000 with three digits: `4.31MB`.
pub fn bytes(bytes: i64) -> String {
    scaled(bytes as f64, 1000.0, ["B", "kB", "MB", "GB", "TB", "PB"], 3)
}

/// Bytes as Docker writes memory, in powers of 1024 with four digits: `1.944GiB`.
pub fn binary_bytes(bytes: u64) -> String {
    scaled(bytes as f64, 1024.0, ["B", "KiB", "MiB", "GiB", "TiB", "PiB"], 4)
}

/// A size in the largest of the units, each so many `times` the one before, of which it has a whole one.
fn scaled(mut size: f64, times: f64, units: [&str; 6], digits: i32) -> String {
    let mut unit = 0;
    while size >= times && unit < units.len() - 1 {
        size /= times;
        unit += 1;
    }
    // Fewer decimals where the number rounds up to one more digit before the point.
    let is_enough =
        |decimals: &i32| size >= 10_f64.powi(digits - 1 - decimals) - 0.5 * 10_f64.powi(-(decimals + 1));
    let decimals = if unit == 0 { 0 } else { (0..digits - 1).find(is_enough).unwrap_or(digits - 1) };
    let number = format!("{size:.*}", decimals as usize);
    let number =
        if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { &number };
    format!("{number}{}", units[unit])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const COLUMNS: [Column; 2] = [("ID", "CONTAINER ID"), ("Names", "NAMES")];

    fn listed(format: Option<&str>) -> String {
        list(&[json!({"ID": "0123456789ab", "Names": "web"})], &COLUMNS, &COLUMNS, format).unwrap()
    }

    #[test]
    fn a_table_is_as_dockers() {
        assert_eq!(listed(None), "CONTAINER ID   NAMES\n0123456789ab   web\n");
        assert_eq!(
            listed(Some("table {{.Names}}\\t{{.ID}}")),
            "NAMES     CONTAINER ID\nweb       0123456789ab\n"
        );
    }

    #[test]
    fn a_label_has_a_column_and_no_other_place() {
        let row = json!({"Names": "web", template::LABELS: {"com.x.my-key": "v,w"}});
        let shown =
            |format: &str| list(std::slice::from_ref(&row), &COLUMNS, &COLUMNS, Some(format)).unwrap();
        assert_eq!(
            shown("table {{.Names}}\t{{.Label \"com.x.my-key\"}}"),
            "NAMES     my key\nweb       v,w\n"
        );
        assert_eq!(shown("json"), "{\"Names\":\"web\"}\n");
        assert_eq!(shown("{{json .}}"), "{\"Names\":\"web\"}\n");
    }

    #[test]
    fn json_and_templates_have_a_line_for_each_row() {
        assert_eq!(listed(Some("json")), "{\"ID\":\"0123456789ab\",\"Names\":\"web\"}\n");
        assert_eq!(listed(Some("{{.Names}}: {{.ID}}")), "web: 0123456789ab\n");
    }

    #[test]
    fn memory_has_four_digits_of_powers_of_two() {
        for (size, text) in [
            (0, "0B"),
            (1023, "1023B"),
            (1024, "1KiB"),
            (1_536, "1.5KiB"),
            (2_087_321_600, "1.944GiB"),
            (u64::MAX, "16384PiB"),
        ] {
            assert_eq!(binary_bytes(size), text);
        }
    }

    #[test]
    fn sizes_have_three_digits() {
        for (size, text) in [
            (0, "0B"),
            (999, "999B"),
            (1000, "1kB"),
            (4_310_000, "4.31MB"),
            (12_345_678, "12.3MB"),
            (999_999, "1000kB"),
        ] {
            assert_eq!(bytes(size), text);
        }
    }
}
