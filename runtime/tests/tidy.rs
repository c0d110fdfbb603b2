//! How the source reads, as far as a plain scan of its lines can tell. What a parser is needed for, clippy holds.

mod common;

use common::assert_none;

/// Lines of code in a file, without comments and its own tests.
const LENGTH_MAX: usize = 500;
/// The table of system calls is as long as the kernel's.
const WITHOUT_LIMIT: &str = "runtime/src/plan/seccomp/syscalls.rs";
const COLUMNS_MAX: usize = 120;
const WORDS_MAX: usize = 40;

/// Each rule with its name.
const RULES: [(&str, Rule); 10] = [
    ("length", too_long_a_file),
    ("columns", too_wide_comments),
    ("sentence", too_long_sentences),
    ("riddle", openings_without_a_noun),
    ("person", processes_as_persons),
    ("left open", promises_to_come_back),
    ("errors", headings_of_errors),
    ("result", results_by_another_name),
    ("swallowed", swallowed_errors),
    ("bool", matches_of_a_bool),
];

/// Sentences that begin so send the reader back for the noun.
const RIDDLES: [&str; 8] = [
    "It is this one ",
    "It may be ",
    "One of them ",
    "That ",
    "The one ",
    "The other ",
    "This one ",
    "Those ",
];

/// A process, a program and a caller are each an `it`.
const PERSONS: [&str; 7] = ["he", "her", "herself", "him", "himself", "his", "she"];

type Rule = fn(&Source) -> Vec<String>;

#[test]
fn the_source_is_tidy() {
    let sources = sources();
    let mut wrong = Vec::new();
    for (name, rule) in RULES {
        for source in &sources {
            wrong.extend(rule(source).iter().map(|what| format!("{}: {what} [{name}]", source.file)));
        }
    }
    assert_none(wrong);
}

/// A rule that can't fail proves nothing: each is shown what it has to find, and what it has to let pass.
#[test]
fn what_is_forbidden_is_found() {
    let found = |rule: Rule, text: &str| rule(&Source::of("runtime/src/x.rs", text)).len();
    let code = "fn f() {}\n";
    assert_eq!(found(too_long_a_file, &code.repeat(LENGTH_MAX + 1)), 1);
    let rest = format!("// why\n\n#[cfg(test)]\nmod tests {{\n{code}}}\n");
    assert_eq!(found(too_long_a_file, &format!("{}{rest}", code.repeat(LENGTH_MAX))), 0);

    assert_eq!(found(too_wide_comments, &format!("    // {}", "é".repeat(COLUMNS_MAX))), 1);
    assert_eq!(found(too_wide_comments, &format!("// {}", "é".repeat(COLUMNS_MAX - 3))), 0);
    assert_eq!(found(too_wide_comments, &format!("//! | {}", "x".repeat(COLUMNS_MAX))), 0);
    assert_eq!(found(too_wide_comments, &format!("f(\"{}\");", "x".repeat(COLUMNS_MAX))), 0);

    let long = "// word\n".repeat(WORDS_MAX + 1);
    assert_eq!(found(too_long_sentences, &long), 1);
    assert_eq!(found(too_long_sentences, &long.replacen("word", "word.", 1)), 0);
    assert_eq!(found(too_long_sentences, &format!("// ```text\n{long}// ```\n")), 0);

    assert_eq!(found(openings_without_a_noun, "/// That is so. The other\n/// isn't. Those of it are."), 3);
    assert_eq!(found(openings_without_a_noun, "// A file\n// That way it is. The others are not."), 0);
    assert_eq!(found(openings_without_a_noun, "let text = \"That is so\";"), 0);

    assert_eq!(found(processes_as_persons, "// A caller and his files: he opens them."), 2);
    assert_eq!(found(processes_as_persons, "// The helper says this; then it exits."), 0);

    let promise = ["FIX", "ME"].concat();
    assert_eq!(found(promises_to_come_back, &format!("// {promise}: more\nf(); // {promise}")), 2);
    assert_eq!(found(promises_to_come_back, "let template = \"/tmp/XXXXXX\"; // a XXXXXX of mkstemp's"), 0);

    assert_eq!(found(headings_of_errors, "/// Reads.\n///\n/// # Errors\n/// ENOENT"), 1);
    assert_eq!(found(headings_of_errors, "/// Reads.\n///\n/// Errors: ENOENT."), 0);

    assert_eq!(found(results_by_another_name, "let outcome = f();\nmatch g() { outcome => outcome? }"), 2);
    assert_eq!(
        found(results_by_another_name, "use super::outcome::Outcome;\nlet result = outcome::read();"),
        0
    );

    assert_eq!(found(swallowed_errors, "    let _ = fs::remove_file(path);\n    unlink(path).ok();"), 2);
    assert_eq!(
        found(swallowed_errors, "let _lock = lock()?;\nlet text = read().ok();\nmatch f() { _ => () }"),
        0
    );
    assert_eq!(found(swallowed_errors, "#[cfg(test)]\nmod tests {\n    let _ = f();\n}"), 0);

    assert_eq!(found(matches_of_a_bool, "match is_new {\n    true => 1,\n    false => 2,\n}"), 1);
    assert_eq!(found(matches_of_a_bool, "match both {\n    (true, true) => 1,\n    _ => 2,\n}"), 0);
}

fn too_long_a_file(source: &Source) -> Vec<String> {
    let lines = source.code().filter(|(_, line)| !line.is_empty() && !line.starts_with("//")).count();
    if lines > LENGTH_MAX && source.file != WITHOUT_LIMIT {
        vec![format!("{lines} lines of code")]
    } else {
        Vec::new()
    }
}

/// The row of a table can't be broken.
fn too_wide_comments(source: &Source) -> Vec<String> {
    source.lines_with(|line| {
        let comment =
            line.trim_start().strip_prefix("//").map(|text| text.trim_start_matches(['/', '!', ' ']));
        comment.is_some_and(|text| !text.starts_with('|')) && line.chars().count() > COLUMNS_MAX
    })
}

fn too_long_sentences(source: &Source) -> Vec<String> {
    let long = |(at, sentence): (usize, String)| {
        let words = sentence.split_whitespace().count();
        (words > WORDS_MAX).then(|| format!("{at}: a sentence of {words} words"))
    };
    source.sentences().into_iter().filter_map(long).collect()
}

fn openings_without_a_noun(source: &Source) -> Vec<String> {
    let riddle = |(at, sentence): (usize, String)| {
        let opening = RIDDLES.iter().find(|opening| sentence.starts_with(**opening))?;
        Some(format!("{at}: {opening}…"))
    };
    source.sentences().into_iter().filter_map(riddle).collect()
}

fn processes_as_persons(source: &Source) -> Vec<String> {
    let persons = |(at, sentence): (usize, String)| -> Vec<String> {
        let words = sentence.split(|char: char| !char.is_alphanumeric()).map(str::to_lowercase);
        let persons = words.filter(|word| PERSONS.contains(&word.as_str()));
        persons.map(|word| format!("{at}: \"{word}\", of a process")).collect()
    };
    source.sentences().into_iter().flat_map(persons).collect()
}

fn promises_to_come_back(source: &Source) -> Vec<String> {
    source.lines_with(|line| {
        let comment = line.split_once("//").map_or("", |(_, comment)| comment);
        let mut words = comment.split(|char: char| !char.is_alphanumeric());
        words.any(|word| matches!(word, "TODO" | "FIXME" | "XXX" | "HACK"))
    })
}

fn headings_of_errors(source: &Source) -> Vec<String> {
    source.lines_with(|line| line.trim_start().starts_with("//") && line.ends_with("# Errors"))
}

/// The suites have a type of this name: what a command has printed, and its exit code.
fn results_by_another_name(source: &Source) -> Vec<String> {
    if !source.file.starts_with("runtime/src/") {
        return Vec::new();
    }
    source.lines_with(|line| line.contains("let outcome ") || line.contains("outcome =>"))
}

/// An error that is passed over says so, and why, by `best_effort`.
fn swallowed_errors(source: &Source) -> Vec<String> {
    if !source.file.starts_with("runtime/src/") {
        return Vec::new();
    }
    let is_swallowed =
        |line: &str| line.starts_with("let _ =") || line.ends_with(".ok();") && !line.contains('=');
    let found = source.code().filter(|(_, line)| is_swallowed(line));
    found.map(|(at, line)| format!("{at}: {line}")).collect()
}

/// `if` and `else` say the same.
fn matches_of_a_bool(source: &Source) -> Vec<String> {
    source.lines_with(|line| line.trim_start().starts_with("true =>"))
}

fn sources() -> Vec<Source> {
    let of = |directory: &str| {
        let files = common::sources(directory);
        assert!(!files.is_empty(), "nothing in {directory}");
        let source = |(file, text): &(String, String)| Source::of(&format!("{directory}/{file}"), text);
        files.iter().map(source).collect::<Vec<_>>()
    };
    [
        "compose/src",
        "compose/tests",
        "runtime/src",
        "runtime/tests",
        "shim/src",
        "shim/tests",
        "spec-tests/src",
        "spec-tests/tests",
    ]
    .into_iter()
    .flat_map(of)
    .collect()
}

/// A source file, by its path from the top of the repository.
struct Source {
    file: String,
    text: String,
}

impl Source {
    fn of(file: &str, text: &str) -> Source {
        Source { file: file.into(), text: text.into() }
    }

    /// The lines that satisfy `wrong`, as findings.
    fn lines_with(&self, wrong: impl Fn(&str) -> bool) -> Vec<String> {
        let lines = (1..).zip(self.text.lines()).filter(|(_, line)| wrong(line));
        lines.map(|(at, line)| format!("{at}: {}", line.trim())).collect()
    }

    /// The trimmed lines above the file's own tests, each with its number.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let code = self.text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
        (1..).zip(code.lines().map(str::trim))
    }

    /// The sentences of all comments that have lines of their own, each with the number of its first line. Tables and
    /// what stands between fences are no prose.
    fn sentences(&self) -> Vec<(usize, String)> {
        let mut sentences = Vec::new();
        let mut is_over = true;
        let mut is_fenced = false;
        for (at, line) in (1..).zip(self.text.lines()) {
            let comment = line.trim_start().strip_prefix("//");
            let text = comment.unwrap_or_default().trim_start_matches(['/', '!']).trim();
            let is_fence = text.starts_with("```");
            is_fenced ^= is_fence;
            let is_prose = !is_fenced && !is_fence && !text.starts_with('|');
            is_over |= !is_prose || text.is_empty() || text.starts_with(['-', '#']);
            if !is_prose {
                continue;
            }
            for word in text.split_whitespace() {
                if is_over {
                    sentences.push((at, String::new()));
                }
                if let Some((_, sentence)) = sentences.last_mut() {
                    sentence.push_str(word);
                    sentence.push(' ');
                }
                is_over = word.ends_with(['.', '!', '?']);
            }
        }
        sentences
    }
}
