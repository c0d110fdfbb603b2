//! Text → nodes.

use serde_json::Value;

/// A part of a template.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    Text(String),
    /// `{{PIPELINE}}`, or `{{$name := PIPELINE}}`, which prints nothing.
    Print(Binding),
    /// `{{if}}`: the pipeline, what is said if it is true, and what if it isn't.
    If(Pipeline, Vec<Node>, Vec<Node>),
    /// `{{with}}`
    With(Binding, Vec<Node>, Vec<Node>),
    /// `{{range}}`
    Range(Binding, Vec<Node>, Vec<Node>),
}

/// A pipeline and the variables that take its value: at most a key's and a value's.
#[derive(Clone, Debug, PartialEq)]
pub struct Binding {
    pub names: Vec<String>,
    pub pipeline: Pipeline,
}

/// Commands, each of which takes the result of the one before as its last argument.
pub type Pipeline = Vec<Command>;

/// A function and its arguments, or a value alone.
pub type Command = Vec<Term>;

/// A word of a command.
#[derive(Clone, Debug, PartialEq)]
pub enum Term {
    /// `.A.B`, from where the dot is; `.` has no names.
    Field(Vec<String>),
    /// `$name.A.B`; `$` is what the template is given.
    Variable(String, Vec<String>),
    Literal(Value),
    Function(String),
    /// `(PIPELINE).A.B`
    Group(Pipeline, Vec<String>),
}

impl Node {
    /// What `{{.Name}}` and `{{.Label "NAME"}}` show.
    pub fn column(&self) -> Option<Column<'_>> {
        let Node::Print(Binding { names, pipeline }) = self else { return None };
        let (true, [command]) = (names.is_empty(), pipeline.as_slice()) else { return None };
        // A function may stand before the field: `{{json .Names}}`.
        match command.as_slice() {
            [Term::Field(path), Term::Literal(Value::String(label))] if path == &["Label"] => {
                Some(Column::Label(label))
            }
            [.., Term::Field(path)] => path.first().map(|name| Column::Field(name)),
            _ => None,
        }
    }
}

/// What a column of a table shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column<'a> {
    /// A field of the row.
    Field(&'a str),
    /// A label of this name.
    Label(&'a str),
}

/// How deep blocks and parentheses may nest.
const DEPTH_MAX: usize = 100;

pub fn parse(text: &str) -> Result<Vec<Node>, String> {
    let mut parser = Parser { actions: split(text)?, next: 0, depth: 0 };
    let (nodes, end) = parser.block()?;
    match end {
        None => Ok(nodes),
        Some(end) => Err(format!("unexpected {{{{{end}}}}}")),
    }
}

/// Text, or what stands between braces.
enum Piece {
    Text(String),
    Action(Vec<Token>),
}

/// Cuts at the braces. `{{-` and `-}}` take the white space beside them away.
fn split(text: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    let mut trims = false;
    while let Some((before, after)) = rest.split_once("{{") {
        let before = if trims { before.trim_start() } else { before };
        let trims_before = after.starts_with("- ");
        let before = if trims_before { before.trim_end() } else { before };
        pieces.push(Piece::Text(before.to_owned()));
        let after = if trims_before { &after[1..] } else { after };
        let (tokens, after) = tokens(after)?;
        trims = after.starts_with('-');
        rest = after.trim_start_matches('-').strip_prefix("}}").ok_or("unclosed action")?;
        pieces.push(Piece::Action(tokens));
    }
    pieces.push(Piece::Text(if trims { rest.trim_start() } else { rest }.to_owned()));
    Ok(pieces)
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    /// A name, a field, a variable, with dots and dollar as they were typed.
    Word(String),
    Literal(Value),
    Symbol(&'static str),
}

/// The tokens up to `}}` or ` -}}`, and the text from there.
fn tokens(mut rest: &str) -> Result<(Vec<Token>, &str), String> {
    const SYMBOLS: [&str; 6] = [":=", "=", "|", "(", ")", ","];
    let mut tokens = Vec::new();
    loop {
        let trimmed = rest.trim_start();
        if trimmed.starts_with("}}") || (trimmed.starts_with("-}}") && trimmed.len() < rest.len()) {
            return Ok((tokens, trimmed));
        }
        // `{{/* a comment */}}`
        if let Some(comment) = trimmed.strip_prefix("/*") {
            rest = comment.split_once("*/").ok_or("unclosed comment")?.1;
            continue;
        }
        let symbol = SYMBOLS.iter().find(|symbol| trimmed.starts_with(**symbol));
        rest = if let Some(symbol) = symbol {
            tokens.push(Token::Symbol(symbol));
            &trimmed[symbol.len()..]
        } else if trimmed.starts_with(['"', '`']) {
            let (text, after) = quoted(trimmed)?;
            tokens.push(Token::Literal(Value::String(text)));
            after
        } else {
            let is_word = |c: char| c.is_alphanumeric() || "._$-+".contains(c);
            let end = trimmed.find(|c| !is_word(c)).unwrap_or(trimmed.len());
            if end == 0 {
                return Err(match trimmed.chars().next() {
                    Some(c) => format!("unexpected {c:?} in command"),
                    None => "unclosed action".to_owned(),
                });
            }
            tokens.push(word(&trimmed[..end]));
            &trimmed[end..]
        };
    }
}

fn word(word: &str) -> Token {
    let number = word.parse::<i64>().ok().map(Value::from);
    let number = number.or_else(|| word.parse::<f64>().ok().filter(|_| word != ".").map(Value::from));
    match (word, number) {
        ("true", _) => Token::Literal(Value::Bool(true)),
        ("false", _) => Token::Literal(Value::Bool(false)),
        ("nil", _) => Token::Literal(Value::Null),
        (_, Some(number)) if word.starts_with(|c: char| c.is_ascii_digit() || "-+".contains(c)) => {
            Token::Literal(number)
        }
        _ => Token::Word(word.to_owned()),
    }
}

/// A string in quotes or backquotes, and the text after it.
fn quoted(text: &str) -> Result<(String, &str), String> {
    if let Some(raw) = text.strip_prefix('`') {
        let (raw, after) = raw.split_once('`').ok_or("unterminated raw quoted string")?;
        return Ok((raw.to_owned(), after));
    }
    let mut characters = text.char_indices().skip(1);
    let mut string = String::new();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Ok((string, &text[at + 1..])),
            '\\' => string.push(match characters.next().map(|(_, escaped)| escaped) {
                Some('n') => '\n',
                Some('t') => '\t',
                Some('r') => '\r',
                Some(escaped) => escaped,
                None => break,
            }),
            character => string.push(character),
        }
    }
    Err("unterminated quoted string".to_owned())
}

struct Parser {
    actions: Vec<Piece>,
    next: usize,
    depth: usize,
}

impl Parser {
    /// Reads to the action that ends a block, and gives that action: `end`, `else`, or none at the end of the text.
    fn block(&mut self) -> Result<(Vec<Node>, Option<String>), String> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err("too deep".to_owned());
        }
        let mut nodes = Vec::new();
        let mut end = None;
        while let (None, Some(piece)) = (&end, self.actions.get_mut(self.next)) {
            self.next += 1;
            match piece {
                Piece::Text(text) if text.is_empty() => {}
                Piece::Text(text) => nodes.push(Node::Text(std::mem::take(text))),
                Piece::Action(tokens) => match std::mem::take(tokens).split_first() {
                    None => {}
                    Some((Token::Word(word), rest)) if word == "end" && rest.is_empty() => {
                        end = Some(word.clone());
                    }
                    Some((Token::Word(word), rest)) if word == "else" => {
                        // `else if` is an `if` within the `else`, which ends where that ends.
                        if !rest.is_empty() {
                            self.next -= 1;
                            self.actions[self.next] = Piece::Action(rest.to_vec());
                        }
                        end = Some(if rest.is_empty() { word.clone() } else { "else if".to_owned() });
                    }
                    Some((Token::Word(word), rest)) if ["if", "with", "range"].contains(&word.as_str()) => {
                        nodes.push(self.control(word, rest)?);
                    }
                    Some((first, rest)) => {
                        let tokens: Vec<Token> = std::iter::once(first).chain(rest).cloned().collect();
                        nodes.push(Node::Print(binding(&tokens)?));
                    }
                },
            }
        }
        self.depth -= 1;
        Ok((nodes, end))
    }

    fn control(&mut self, word: &str, rest: &[Token]) -> Result<Node, String> {
        let binding = binding(rest)?;
        let (then, end) = self.block()?;
        let otherwise = match end.as_deref() {
            Some("end") => Vec::new(),
            Some("else") => {
                let (nodes, end) = self.block()?;
                if end.as_deref() != Some("end") {
                    return Err(format!("{word}: no {{{{end}}}}"));
                }
                nodes
            }
            Some("else if") => self.chained()?,
            _ => return Err(format!("{word}: no {{{{end}}}}")),
        };
        Ok(match word {
            "if" => Node::If(binding.pipeline, then, otherwise),
            "with" => Node::With(binding, then, otherwise),
            _ => Node::Range(binding, then, otherwise),
        })
    }

    /// The `if` of an `else if`: its `end` is the end of both.
    fn chained(&mut self) -> Result<Vec<Node>, String> {
        let piece =
            self.actions.get_mut(self.next).map(|piece| std::mem::replace(piece, Piece::Text(String::new())));
        self.next += 1;
        match piece {
            Some(Piece::Action(tokens)) => match tokens.split_first() {
                Some((Token::Word(word), rest)) if word == "if" || word == "with" => {
                    Ok(vec![self.control(word, rest)?])
                }
                _ => Err("unexpected word after else".to_owned()),
            },
            _ => Err("unexpected word after else".to_owned()),
        }
    }
}

/// `$name := PIPELINE`, `$key, $value := PIPELINE` or `PIPELINE`.
fn binding(tokens: &[Token]) -> Result<Binding, String> {
    let is_assignment = |token: &Token| matches!(token, Token::Symbol(":=" | "="));
    let Some(at) = tokens.iter().position(is_assignment) else {
        return Ok(Binding { names: Vec::new(), pipeline: pipeline(tokens)? });
    };
    let names = tokens[..at].iter().filter(|token| **token != Token::Symbol(","));
    let names = names.map(|token| match token {
        Token::Word(word) if word.starts_with('$') => Ok(word.clone()),
        token => Err(format!("unexpected {token:?} before :=")),
    });
    Ok(Binding { names: names.collect::<Result<_, _>>()?, pipeline: pipeline(&tokens[at + 1..])? })
}

fn pipeline(tokens: &[Token]) -> Result<Pipeline, String> {
    let mut rest = tokens;
    let pipeline = commands(&mut rest, 0)?;
    if rest.is_empty() { Ok(pipeline) } else { Err("unexpected )".to_owned()) }
}

/// Reads commands up to a parenthesis that closes.
fn commands(rest: &mut &[Token], depth: usize) -> Result<Pipeline, String> {
    if depth > DEPTH_MAX {
        return Err("too deep".to_owned());
    }
    let mut pipeline = vec![Vec::new()];
    while let Some((token, after)) = rest.split_first() {
        let term = match token {
            Token::Symbol(")") => break,
            Token::Symbol("|") => {
                *rest = after;
                pipeline.push(Vec::new());
                continue;
            }
            Token::Symbol("(") => {
                *rest = after;
                group(rest, depth)?
            }
            Token::Symbol(symbol) => return Err(format!("unexpected {symbol:?}")),
            Token::Literal(value) => Term::Literal(value.clone()),
            Token::Word(word) => term(word),
        };
        if !matches!(term, Term::Group(..)) {
            *rest = after;
        }
        if let Some(command) = pipeline.last_mut() {
            command.push(term);
        }
    }
    if pipeline.iter().any(Vec::is_empty) {
        Err("missing value for command".to_owned())
    } else {
        Ok(pipeline)
    }
}

/// What follows an opening parenthesis, with the fields after the closing one.
fn group(rest: &mut &[Token], depth: usize) -> Result<Term, String> {
    let pipeline = commands(rest, depth + 1)?;
    let Some((Token::Symbol(")"), after)) = rest.split_first() else {
        return Err("unclosed left paren".to_owned());
    };
    *rest = after;
    match after.split_first() {
        Some((Token::Word(word), after)) if word.starts_with('.') && word.len() > 1 => {
            *rest = after;
            Ok(Term::Group(pipeline, path(word)))
        }
        _ => Ok(Term::Group(pipeline, Vec::new())),
    }
}

fn term(word: &str) -> Term {
    if word.starts_with('$') {
        let (name, fields) = word.split_once('.').unwrap_or((word, ""));
        Term::Variable(name.to_owned(), path(fields))
    } else if word.starts_with('.') {
        Term::Field(path(word))
    } else {
        Term::Function(word.to_owned())
    }
}

fn path(fields: &str) -> Vec<String> {
    fields.split('.').filter(|field| !field.is_empty()).map(str::to_owned).collect()
}
