//! Nodes and a value → text.

use serde_json::Value;

use super::functions::{call, is_true};
use super::parse::{Binding, Command, Node, Pipeline, Term};

/// A field of an image that stands in no JSON where it is empty.
const OMITTED: &str = "Variant";

/// What stands where nothing is.
const NO_VALUE: &str = "<no value>";

/// How an error begins that names a part of the template.
pub const EXECUTING: &str = "executing \"\" at <";

/// The text of `nodes` for a value, which may have `labels`.
pub fn render(nodes: &[Node], value: &Value, labels: Option<&Value>) -> Result<String, String> {
    let mut renderer = Renderer { root: value, labels, variables: Vec::new(), text: String::new() };
    renderer.nodes(nodes, value)?;
    Ok(renderer.text)
}

struct Renderer<'a> {
    root: &'a Value,
    labels: Option<&'a Value>,
    variables: Vec<(String, Value)>,
    text: String,
}

impl Renderer<'_> {
    fn nodes(&mut self, nodes: &[Node], dot: &Value) -> Result<(), String> {
        nodes.iter().try_for_each(|node| self.node(node, dot))
    }

    fn node(&mut self, node: &Node, dot: &Value) -> Result<(), String> {
        match node {
            Node::Text(text) => self.text.push_str(text),
            Node::Print(binding) => {
                let value = self.pipeline(&binding.pipeline, dot)?;
                match binding.names.as_slice() {
                    [] if value.is_null() => {
                        let text = self.nothing(&binding.pipeline, dot);
                        self.text.push_str(text);
                    }
                    [] => self.text.push_str(&printed(&value)),
                    names => names.iter().for_each(|name| self.set(name, value.clone())),
                }
            }
            Node::If(pipeline, then, otherwise) => {
                let chosen = if is_true(&self.pipeline(pipeline, dot)?) { then } else { otherwise };
                self.scope(|renderer| renderer.nodes(chosen, dot))?;
            }
            Node::With(binding, then, otherwise) => {
                let value = self.pipeline(&binding.pipeline, dot)?;
                self.scope(|renderer| {
                    binding.names.iter().for_each(|name| renderer.set(name, value.clone()));
                    if is_true(&value) {
                        renderer.nodes(then, &value)
                    } else {
                        renderer.nodes(otherwise, dot)
                    }
                })?;
            }
            Node::Range(binding, each, otherwise) => self.range(binding, each, otherwise, dot)?,
        }
        Ok(())
    }

    fn range(
        &mut self,
        binding: &Binding,
        each: &[Node],
        otherwise: &[Node],
        dot: &Value,
    ) -> Result<(), String> {
        let items: Vec<(Value, Value)> = match self.pipeline(&binding.pipeline, dot)? {
            Value::Array(items) => {
                items.into_iter().enumerate().map(|(at, item)| (at.into(), item)).collect()
            }
            Value::Object(items) => items.into_iter().map(|(key, item)| (key.into(), item)).collect(),
            Value::Null => Vec::new(),
            value => return Err(format!("range can't iterate over {}", printed(&value))),
        };
        if items.is_empty() {
            return self.scope(|renderer| renderer.nodes(otherwise, dot));
        }
        items.into_iter().try_for_each(|(key, item)| {
            self.scope(|renderer| {
                match binding.names.as_slice() {
                    [] => {}
                    [value] => renderer.set(value, item.clone()),
                    [first, second, ..] => {
                        renderer.set(first, key);
                        renderer.set(second, item.clone());
                    }
                }
                renderer.nodes(each, &item)
            })
        })
    }

    /// Does what makes variables that end with a block.
    fn scope(&mut self, inside: impl FnOnce(&mut Self) -> Result<(), String>) -> Result<(), String> {
        let outside = self.variables.len();
        let done = inside(self);
        self.variables.truncate(outside);
        done
    }

    fn set(&mut self, name: &str, value: Value) {
        self.variables.push((name.to_owned(), value));
    }

    fn pipeline(&self, pipeline: &Pipeline, dot: &Value) -> Result<Value, String> {
        let mut piped = None;
        for command in pipeline {
            piped = Some(self.command(command, dot, piped)?);
        }
        Ok(piped.unwrap_or_default())
    }

    fn command(&self, command: &Command, dot: &Value, piped: Option<Value>) -> Result<Value, String> {
        let Some((first, rest)) = command.split_first() else { return Ok(Value::Null) };
        let Term::Function(name) = first else {
            if let (Term::Field(path), Some(labels)) = (first, self.labels) {
                if path == &["Label"] && std::ptr::eq(dot, self.root) {
                    let names = rest.iter().map(|term| self.term(term, dot)).chain(piped.map(Ok));
                    return label(labels, &names.collect::<Result<Vec<_>, _>>()?);
                }
            }
            return match (rest.is_empty(), piped) {
                (true, None) => self.term(first, dot),
                _ => Err("can't give argument to non-function".to_owned()),
            };
        };
        let arguments = rest.iter().map(|term| self.term(term, dot)).chain(piped.map(Ok));
        call(name, arguments.collect::<Result<_, _>>()?)
    }

    /// What a pipeline prints that has come to null: Docker has lists and mappings at most keys that are null in JSON.
    fn nothing(&self, pipeline: &Pipeline, dot: &Value) -> &'static str {
        const MAPPINGS: [&str; 3] = ["Volumes", "DriverOpts", "Data"];
        const POINTERS: [&str; 4] = ["PidsLimit", "MemorySwappiness", "IPAMConfig", "Init"];
        let [command] = pipeline.as_slice() else { return NO_VALUE };
        let found = match command.as_slice() {
            [Term::Field(path)] => path.split_last().map(|(key, path)| (key, at(dot, path))),
            [Term::Variable(name, path)] => path.split_last().and_then(|(key, path)| {
                Some((key, self.term(&Term::Variable(name.clone(), path.to_vec()), dot).ok()?))
            }),
            _ => None,
        };
        match found {
            Some((key, of)) if of.get(key).is_some() => match key.as_str() {
                key if MAPPINGS.contains(&key) => "map[]",
                key if POINTERS.contains(&key) => "<nil>",
                _ => "[]",
            },
            _ => NO_VALUE,
        }
    }

    fn term(&self, term: &Term, dot: &Value) -> Result<Value, String> {
        match term {
            Term::Field(path) => {
                // A row's fields are known, so that a wrong one is an error and not a hole.
                let is_row = std::ptr::eq(dot, self.root) && dot.is_object();
                match path.first() {
                    Some(name) if is_row && dot.get(name).is_none() && name == OMITTED => Ok(Value::from("")),
                    Some(name) if is_row && dot.get(name).is_none() => Err(format!("no field {name}")),
                    _ => passed(dot, path).map(|()| at(dot, path)),
                }
            }
            Term::Variable(name, path) if name == "$" => Ok(at(self.root, path)),
            Term::Variable(name, path) => {
                let set = self.variables.iter().rev().find(|(set, _)| set == name);
                set.map(|(_, value)| at(value, path)).ok_or_else(|| format!("undefined variable {name:?}"))
            }
            Term::Literal(value) => Ok(value.clone()),
            Term::Function(name) => call(name, Vec::new()),
            Term::Group(pipeline, path) => Ok(at(&self.pipeline(pipeline, dot)?, path)),
        }
    }
}

/// The label of one name, empty if there is none.
fn label(labels: &Value, names: &[Value]) -> Result<Value, String> {
    match names {
        [Value::String(name)] => Ok(labels.get(name).cloned().unwrap_or_else(|| "".into())),
        [name] => Err(format!("wrong type for value; expected string; got {}", printed(name))),
        names => Err(format!("wrong number of args for Label: want 1 got {}", names.len())),
    }
}

/// The way to a path's end is there, if not the end itself.
fn passed(value: &Value, path: &[String]) -> Result<(), String> {
    let Some((_, way)) = path.split_last() else { return Ok(()) };
    let mut value = value;
    for name in way {
        match value.as_object().map(|fields| fields.get(name)) {
            Some(None) => {
                let whole = path.join(".");
                return Err(format!("{EXECUTING}.{whole}>: map has no entry for key {name:?}"));
            }
            Some(Some(field)) => value = field,
            None => break,
        }
    }
    Ok(())
}

/// What is at the end of a path. What isn't there is null.
fn at(value: &Value, path: &[String]) -> Value {
    let end = path.iter().try_fold(value, |value, name| value.get(name));
    end.cloned().unwrap_or_default()
}

/// A value as Go prints it.
pub fn printed(value: &Value) -> String {
    match value {
        Value::Null => NO_VALUE.to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(printed).collect();
            format!("[{}]", items.join(" "))
        }
        Value::Object(items) => {
            let items: Vec<String> =
                items.iter().map(|(key, item)| format!("{key}:{}", printed(item))).collect();
            format!("map[{}]", items.join(" "))
        }
        value => value.to_string(),
    }
}
