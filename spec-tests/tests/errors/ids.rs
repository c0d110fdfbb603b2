//! Container ids that could be paths.

use spec_tests::container::Container;

use crate::refused;

#[test]
fn an_id_that_could_be_a_path_is_refused() {
    let container = Container::new(|_| {});
    container.bundle.save();
    let dir = container.bundle.dir.to_str().unwrap();
    for id in ["a/b", "../a", "/a", "..", ".", "a b", "a\tb", "a\\b", "ä", "a:b", "*", ""] {
        let outcome = container.command(["create", "--bundle", dir, id]).output();
        refused(&container, &outcome, &[], &[]);
        let outcome = container.command(["run", "--bundle", dir, id]).output();
        refused(&container, &outcome, &[], &[]);
    }
}

#[test]
fn an_id_longer_than_a_file_name_is_refused() {
    let container = Container::new(|_| {});
    container.bundle.save();
    let dir = container.bundle.dir.to_str().unwrap();
    let outcome = container.command(["create", "--bundle", dir, &"x".repeat(2000)]).output();
    refused(&container, &outcome, &[], &[]);
}

#[test]
fn every_character_that_is_allowed_is_accepted() {
    let mut container = Container::new(|_| {});
    let id = format!("{}_A.z+0-9", container.id);
    container.also_delete(&id);
    container.bundle.save();
    container.command(["create", "--bundle", container.bundle.dir.to_str().unwrap(), &id]).output().ok();
    container.command(["delete", "--force", &id]).output().ok();
}
