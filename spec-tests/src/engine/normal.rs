//! Takes out of a text what differs from one run to the next even under the same runtime.

use std::sync::OnceLock;

use regex_lite::Regex;

/// Patterns and their replacements, in order.
const PATTERNS: &[(&str, &str)] = &[
    // What a runtime says of its own failure is its own; scenarios expect the phrases that callers rely on.
    (
        r"(?s)OCI runtime (\w+) failed: .*?: unknown(\.?[\r\n]|: |\.?$)",
        "OCI runtime $1 failed: <words>: unknown$2",
    ),
    // Docker 26 adds this where the runtime's words don't have it.
    (r"failed: <words>: unknown: permission denied", "failed: <words>: unknown"),
    // containerd 2 leaves the last word out.
    (r"OCI runtime (\w+) failed: [^<\r\n][^\r\n]*", "OCI runtime $1 failed: <words>"),
    // podman says the same in its own form, with what it made of the words after them.
    (
        r#"(?m)^Error: (OCI runtime error: )?(?:unable to start container "[0-9a-f]+": )?(?:\S*/)?(?:crun|runc|corten): [^\n]*?(: OCI (permission denied|runtime attempted)[^\n]*)?$"#,
        "Error: $1<words>$2",
    ),
    (
        r"(?m)^error running container: from \S+ creating container for (.*?\]): [^\n]*$",
        "error running container: $1",
    ),
    (r"(?m)^--> [0-9a-f]{11}$", "--> <id>"),
    // The client prints these lines or not, depending on which of two answers it gets first.
    (
        r#"(?m)^(time="[^"]*" level=error msg="|(\x1b\[\d+m)?ERRO(\x1b\[0m)?\[\d+\] )error waiting for container: [^\n]*\n"#,
        "",
    ),
    // podman's own: the last container's clean-up, which goes on in the background, removes the cgroup meanwhile.
    (r#"(?m)^time="[^"]*" level=warning msg="Failed to add conmon to cgroupfs sandbox cgroup: [^\n]*\n"#, ""),
    (r#"(?m)^time="[^"]*" level="#, "level="),
    (r"(?m)^failed to resize tty, using default size\n", ""),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", "<time>"),
    (r"\b[0-9a-f]{64}\b", "<id>"),
    (r"\b[0-9a-f]{25}\b", "<id>"),
    (r"\b[0-9a-f]{12}\b", "<id>"),
    (r"\b[0-9A-Z]{26}\b", "<layer>"),
    (r"\b([0-9a-f]{2}:){5}[0-9a-f]{2}\b", "<mac>"),
    (r"\b(10|172|192)(\.\d{1,3}){3}\b", "<ip>"),
    (r"(<ip>|127\.0\.0\.1|0\.0\.0\.0|::|\]):\d{5}\b", "$1:<port>"),
    (r"(?i)\b(\d+|less than a|about an?) (second|minute)s?\b", "<moment>"),
    (r#""(Pid|StartedAtNs|ExecIDs)": ?\d+"#, r#""$1": <pid>"#),
    (r#""(Runtime|HostPort)": ?"[^"]*""#, r#""$1": <own>"#),
    // The widths of a table's columns follow what was replaced above.
    (r" {2,}", "  "),
    (r"(?m) +$", ""),
];

/// Replaces ids, addresses, times and ports.
pub fn normalise(text: &str) -> String {
    static COMPILED: OnceLock<Vec<(Regex, &str)>> = OnceLock::new();
    let patterns = COMPILED.get_or_init(|| {
        PATTERNS.iter().filter_map(|(pattern, with)| Some((Regex::new(pattern).ok()?, *with))).collect()
    });
    patterns
        .iter()
        .fold(text.to_owned(), |text, (pattern, with)| pattern.replace_all(&text, *with).into_owned())
}

/// What differs between two texts, line by line: the lines between the common start and the common end.
pub fn difference(left_name: &str, left: &str, right_name: &str, right: &str) -> String {
    let (left, right): (Vec<_>, Vec<_>) = (left.lines().collect(), right.lines().collect());
    let same = |pairs: &mut dyn Iterator<Item = (&&str, &&str)>| pairs.take_while(|(a, b)| a == b).count();
    let start = same(&mut left.iter().zip(&right));
    let end = same(&mut left[start..].iter().rev().zip(right[start..].iter().rev()));
    let mut text = String::new();
    for (name, lines) in [(left_name, &left), (right_name, &right)] {
        for line in &lines[start..lines.len() - end] {
            text += &format!("  {name:>9} | {line}\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_is_valid() {
        assert!(PATTERNS.iter().all(|(pattern, _)| Regex::new(pattern).is_ok()));
    }

    #[test]
    fn what_differs_between_runs_is_replaced() {
        let check = |text: &str, expected: &str| assert_eq!(normalise(text), expected);
        check("d933fc6948cf up   3 seconds ago", "<id> up  <moment> ago");
        check("at 2026-11-22T20:17:54.123Z from 172.17.0.2:49153", "at <time> from <ip>:<port>");
        check(
            "OCI runtime exec failed: exec failed: x: y: unknown",
            "OCI runtime exec failed: <words>: unknown",
        );
        check(
            "OCI runtime create failed: load: unknown variant x: unknown.\n",
            "OCI runtime create failed: <words>: unknown.\n",
        );
        check(
            "ctr: OCI runtime exec failed: exec failed: x: y\nmore",
            "ctr: OCI runtime exec failed: <words>\nmore",
        );
        check(
            "Error: crun: open executable: Permission denied: OCI permission denied\n",
            "Error: <words>: OCI permission denied\n",
        );
        check(
            "Error: /usr/local/bin/corten: corten: find program: b: OCI permission denied\n",
            "Error: <words>: OCI permission denied\n",
        );
        check(
            "Error: OCI runtime error: runc: runc create failed: a: b\n",
            "Error: OCI runtime error: <words>\n",
        );
        check(
            "time=\"2026-01-02T03:04:05Z\" level=error msg=\"error waiting for container: context canceled\"\n",
            "",
        );
        check("limit 67108864, port 8080", "limit 67108864, port 8080");
    }

    #[test]
    fn a_difference_shows_only_what_differs() {
        assert_eq!(difference("a", "1\n2\n3", "b", "1\nx\n3"), "          a | 2\n          b | x\n");
    }
}
