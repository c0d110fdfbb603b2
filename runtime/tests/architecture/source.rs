//! Rust source, read as tokens: comments, strings and line breaks don't matter; `mod tests` is left out. A name that a
//! `use` has brought in counts as its full path wherever it is used.

use std::collections::BTreeMap;

/// A source file.
pub struct Source {
    /// Its path below `src`.
    pub file: String,
    pub text: String,
    pub tokens: Vec<Token>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Token {
    /// A keyword, a name or a number.
    Word(String),
    /// The inside of a string literal.
    Text(String),
    /// Any other character.
    Sign(char),
}

/// A full path as the file uses it, such as `std::env::var`, with its argument if that is one string.
#[derive(Debug)]
pub struct Name {
    pub name: String,
    pub argument: Option<String>,
}

impl Name {
    /// Whether it is `item` or something in it.
    pub fn is_of(&self, item: &str) -> bool {
        self.name.strip_prefix(item).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    }
}

impl Source {
    pub fn of(file: &str, text: &str) -> Source {
        Source { file: file.into(), text: text.into(), tokens: without_tests(tokens(text)) }
    }

    /// The module at the top that the file belongs to.
    pub fn module(&self) -> &str {
        let top = self.file.split('/').next().unwrap_or_default();
        top.strip_suffix(".rs").unwrap_or(top)
    }

    /// The module of the file itself, from the root of the crate.
    fn module_path(&self) -> Vec<&str> {
        let path = self.file.trim_end_matches(".rs").trim_end_matches("/mod");
        path.split('/').filter(|name| !matches!(*name, "lib" | "main")).collect()
    }

    /// Every path of two or more names in the file, in full.
    pub fn paths(&self) -> Vec<Name> {
        let mut names = Vec::new();
        let mut aliases = BTreeMap::new();
        let mut at = 0;
        while at < self.tokens.len() {
            let is_use = self.tokens[at] == Token::Word("use".into());
            let starts = matches!(self.tokens[at], Token::Word(_)) && !self.is_joined(at);
            if is_use {
                at = self.use_tree(at + 1, String::new(), &mut |name: String, alias: String| {
                    aliases.insert(alias, name.clone());
                    names.push(Name { name, argument: None });
                });
            } else if starts && self.has_colons(at + 1) {
                let (path, end) = self.path(at);
                let argument = match self.tokens.get(end..end + 2) {
                    Some([Token::Sign('('), Token::Text(text)]) => Some(text.clone()),
                    _ => None,
                };
                let (head, rest) = path.split_once("::").unwrap_or((&path, ""));
                let full = aliases.get(head).map_or(path.clone(), |name| format!("{name}::{rest}"));
                names.push(Name { name: self.resolved(&full), argument });
                at = end;
            } else {
                at += 1;
            }
        }
        names
    }

    /// The names from `at` on that `::` joins, and the place after them.
    fn path(&self, mut at: usize) -> (String, usize) {
        let mut path = String::new();
        while let Some(Token::Word(word)) = self.tokens.get(at) {
            path.push_str(word);
            at += 1;
            if !self.has_colons(at) || !matches!(self.tokens.get(at + 2), Some(Token::Word(_))) {
                break;
            }
            path.push_str("::");
            at += 2;
        }
        (path, at)
    }

    /// Reads the tree of a `use` from `at` on; gives each path with the name that it gets, and returns the place after.
    fn use_tree(&self, mut at: usize, mut prefix: String, give: &mut impl FnMut(String, String)) -> usize {
        loop {
            match self.tokens.get(at) {
                Some(Token::Sign('{')) => {
                    at += 1;
                    while self.tokens.get(at).is_some_and(|token| *token != Token::Sign('}')) {
                        at = self.use_tree(at, prefix.clone(), give);
                        at += usize::from(self.tokens.get(at) == Some(&Token::Sign(',')));
                    }
                    return at + 1;
                }
                Some(Token::Word(word)) => prefix.push_str(word),
                Some(Token::Sign('*')) => prefix.push('*'),
                _ => return at,
            }
            at += 1;
            if self.has_colons(at) {
                prefix.push_str("::");
                at += 2;
                continue;
            }
            let name = self.resolved(prefix.trim_end_matches("::self"));
            let mut alias = name.rsplit("::").next().unwrap_or_default().to_string();
            if self.tokens.get(at) == Some(&Token::Word("as".into())) {
                if let Some(Token::Word(word)) = self.tokens.get(at + 1) {
                    alias.clone_from(word);
                }
                at += 2;
            }
            give(name, alias);
            return at;
        }
    }

    /// A path from the root of the crate in place of one from here.
    fn resolved(&self, path: &str) -> String {
        let mut names = path.split("::").peekable();
        let mut base = self.module_path();
        match names.peek() {
            Some(&"self") => drop(names.next()),
            Some(&"super") => {
                while names.next_if_eq(&"super").is_some() {
                    base.pop();
                }
            }
            _ => return path.into(),
        }
        std::iter::once("crate").chain(base).chain(names).collect::<Vec<_>>().join("::")
    }

    fn has_colons(&self, at: usize) -> bool {
        matches!(self.tokens.get(at..at + 2), Some([Token::Sign(':'), Token::Sign(':')]))
    }

    /// Whether the name at `at` belongs to what stands before it.
    fn is_joined(&self, at: usize) -> bool {
        at > 0 && self.tokens[at - 1] == Token::Sign('.') || at > 1 && self.has_colons(at - 2)
    }
}

/// Leaves out each `#[cfg(test)] mod … { … }`.
fn without_tests(tokens: Vec<Token>) -> Vec<Token> {
    let attribute = self::tokens("#[cfg(test)] mod");
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if !tokens[at..].starts_with(&attribute) {
            kept.push(tokens[at].clone());
            at += 1;
            continue;
        }
        let mut depth = 0;
        while at < tokens.len() {
            depth += match tokens[at] {
                Token::Sign('{') => 1,
                Token::Sign('}') => -1,
                _ => 0,
            };
            at += 1;
            if depth == 0 && tokens[at - 1] == Token::Sign('}') {
                break;
            }
        }
    }
    kept
}

/// The tokens of Rust source, as far as the checks need them.
fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let rest = &chars[at..];
        match rest {
            ['/', '/', ..] => at += until(rest, |rest| rest[0] == '\n'),
            ['/', '*', ..] => at += 2 + until(&rest[2..], |rest| rest.starts_with(&['*', '/'])) + 2,
            ['r', '"', ..] | ['r', '#', '"', ..] | ['r', '#', '#', ..] => {
                let hashes = until(&rest[1..], |rest| rest[0] != '#');
                let end: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
                let inside = &rest[hashes + 2..];
                let len = until(inside, |rest| rest.starts_with(&end));
                tokens.push(Token::Text(inside[..len].iter().collect()));
                at += hashes + 2 + len + end.len();
            }
            ['"', inside @ ..] => {
                let len = length_of_string(inside);
                tokens.push(Token::Text(inside[..len].iter().collect()));
                at += len + 2;
            }
            ['\'', '\\', _, inside @ ..] => at += 3 + until(inside, |rest| rest[0] == '\'') + 1,
            ['\'', _, '\'', ..] => at += 3,
            [first, ..] if is_word(*first) => {
                let len = until(rest, |rest| !is_word(rest[0]));
                let word: String = rest[..len].iter().collect();
                // What stands before a string says what kind of string it is.
                if !(matches!(word.as_str(), "b" | "c") && rest.get(len) == Some(&'"')) {
                    tokens.push(Token::Word(word));
                }
                at += len;
            }
            [first, ..] => {
                if !first.is_whitespace() {
                    tokens.push(Token::Sign(*first));
                }
                at += 1;
            }
            [] => break,
        }
    }
    tokens
}

fn is_word(char: char) -> bool {
    char.is_alphanumeric() || char == '_'
}

/// How many characters come before the first place where `found` is true.
fn until(chars: &[char], found: impl Fn(&[char]) -> bool) -> usize {
    (0..chars.len()).find(|at| found(&chars[*at..])).unwrap_or(chars.len())
}

fn length_of_string(inside: &[char]) -> usize {
    let mut at = 0;
    while at < inside.len() && inside[at] != '"' {
        at += if inside[at] == '\\' { 2 } else { 1 };
    }
    at.min(inside.len())
}
