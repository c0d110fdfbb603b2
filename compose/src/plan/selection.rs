//! Which services a command is about, and in which order.

use std::collections::BTreeSet;

use super::wanted::goes_behind;
use crate::error::{Error, Result};
use crate::model::types::Project;

/// The services of those names, or all if there is none.
///
/// Errors: there is no such service.
pub fn named(project: &Project, names: &[String]) -> Result<BTreeSet<String>> {
    if let Some(unknown) = names.iter().find(|name| !project.services.contains_key(*name)) {
        return Err(Error::new(format!("no such service: {unknown}")));
    }
    if names.is_empty() {
        return Ok(project.services.keys().cloned().collect());
    }
    Ok(names.iter().cloned().collect())
}

/// The services, and all that they depend on.
pub fn with_dependencies(project: &Project, names: BTreeSet<String>) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    let mut waiting: Vec<String> = names.into_iter().collect();
    while let Some(name) = waiting.pop() {
        if let Some(service) = project.services.get(&name) {
            waiting.extend(service.depends_on.keys().filter(|key| !all.contains(*key)).cloned());
            all.insert(name);
        }
    }
    all
}

/// All services of the project, each behind those that it is started behind.
pub fn in_order(project: &Project) -> Vec<&str> {
    let mut order = Vec::new();
    project.services.keys().for_each(|name| visit(project, name, &mut BTreeSet::new(), &mut order));
    order
}

/// Puts the service behind its dependencies. `path` are the services that wait for it: a cycle is cut there, and it is
/// refused before a plan is made.
fn visit<'a>(project: &'a Project, name: &'a str, path: &mut BTreeSet<&'a str>, order: &mut Vec<&'a str>) {
    let Some(service) = project.services.get(name) else { return };
    if order.contains(&name) || !path.insert(name) {
        return;
    }
    goes_behind(project, service).into_iter().for_each(|key| visit(project, key, path, order));
    order.push(name);
}
