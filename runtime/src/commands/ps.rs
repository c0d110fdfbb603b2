//! `ps`: the processes of a container.

use std::collections::HashSet;
use std::ffi::OsString;
use std::process::Command;

use super::{Invocation, print};
use crate::cli::{ListFormat, PsArgs};
use crate::error::{Context, Error, Kind, Result};

/// Prints the processes of a container: their pids as JSON, or their lines of ps(1).
pub(super) fn run(invocation: &Invocation, args: PsArgs) -> Result<u8> {
    let pids = invocation.runtime()?.find(&args.id)?.pids()?;
    print(match args.format {
        ListFormat::Json => json(&pids),
        ListFormat::Table => lines_of(&ps(&args.options)?, &pids.into_iter().collect())?,
    })?;
    Ok(0)
}

fn json(pids: &[i32]) -> String {
    // Without a process, `null`: runc prints Go's nil slice.
    if pids.is_empty() { "null\n".into() } else { format!("{}\n", serde_json::Value::from(pids)) }
}

/// All processes of the host, as ps(1) shows them.
fn ps(options: &[OsString]) -> Result<String> {
    let mut command = Command::new("ps");
    if options.is_empty() {
        command.arg("-ef")
    } else {
        command.args(options)
    };
    let output = command.output().map_err(|err| Error::io("exec(ps)", &err))?;
    let text = String::from_utf8_lossy(if output.status.success() { &output.stdout } else { &output.stderr });
    if output.status.success() {
        Ok(text.into_owned())
    } else {
        Err(Error::new(Kind::InvalidSpec, format!("ps(1): {}: {}", output.status, text.trim_end())))
    }
}

/// The first line of the table, and the lines of the processes in `pids`.
fn lines_of(table: &str, pids: &HashSet<i32>) -> Result<String> {
    let mut lines = table.lines();
    let title = lines.next().unwrap_or_default();
    let column = title.split_whitespace().position(|name| name == "PID");
    let column = column.ok_or_else(|| Error::invalid("couldn't find PID field in ps output"))?;
    let mut text = format!("{title}\n");
    for line in lines.filter(|line| !line.is_empty()) {
        let field = line.split_whitespace().nth(column).unwrap_or_default();
        let pid: i32 = field
            .parse()
            .map_err(|_| Error::invalid(format!("{field:?} is no pid")))
            .doing_with(|| format!("read the output of ps: {line:?}"))?;
        if pids.contains(&pid) {
            text.push_str(line);
            text.push('\n');
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_keeps_the_lines_of_the_container() {
        let table =
            "UID   PID PPID CMD\nroot    1    0 /sbin/init\nroot   42    1 sh -c 1\nroot  142    1 sh\n";
        let kept = lines_of(table, &HashSet::from([42])).expect("a table");
        assert_eq!(kept, "UID   PID PPID CMD\nroot   42    1 sh -c 1\n");
        assert!(lines_of("USER CMD\n", &HashSet::new()).is_err());
    }

    #[test]
    fn pids_as_json() {
        assert_eq!(json(&[4711, 4712]), "[4711,4712]\n");
        assert_eq!(json(&[]), "null\n");
    }
}
