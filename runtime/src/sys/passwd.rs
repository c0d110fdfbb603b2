//! /etc/passwd as text: getpwuid(3) would load libraries of the host, which a static program can't. Source: passwd(5).

/// One user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The name.
    pub name: &'a str,
    /// The number.
    pub uid: u32,
    /// The home directory, if the entry names one.
    pub home: Option<&'a str>,
}

/// The users of a table. Lines without a number are passed over.
pub fn entries(table: &str) -> impl Iterator<Item = Entry<'_>> {
    table.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let uid = fields.nth(1)?.parse().ok()?;
        Some(Entry { name, uid, home: fields.nth(2).filter(|home| !home.is_empty()) })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_may_be_short_or_broken() {
        let table =
            "web:x:1000:1000:,,,:/home/web:/bin/sh\n# comment\nshort:x:5\nempty:x:6:6:::\nbad:x:y:0\n";
        let entry = |name, uid, home| Entry { name, uid, home };
        let all: Vec<Entry> = entries(table).collect();
        let web = entry("web", 1000, Some("/home/web"));
        assert_eq!(all, [web, entry("short", 5, None), entry("empty", 6, None)]);
    }
}
