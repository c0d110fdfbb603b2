//! A project that is known by its containers alone: `-p NAME` where there is no file.

use super::Session;
use crate::actual::{self, member_of};
use crate::error::Result;
use crate::model::types::Project;

/// The project as its containers were made. Networks and volumes are told by their labels.
pub async fn project(session: &Session, name: &str) -> Result<Project> {
    let mut project = Project { name: name.to_owned(), ..Project::default() };
    for one in actual::members(&session.engine, name).await? {
        let Some((record, member)) = one.record.as_ref().zip(member_of(&one)) else { continue };
        project.directory = member.directory.clone().into();
        if !member.one_off {
            project.services.insert(member.service.clone(), record.service.clone());
        }
    }
    // What a container needed is gone by now, or was left out.
    let there: Vec<String> = project.services.keys().cloned().collect();
    for service in project.services.values_mut() {
        service.depends_on.retain(|dependency, _| there.contains(dependency));
    }
    Ok(project)
}
