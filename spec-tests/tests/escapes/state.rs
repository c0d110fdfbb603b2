//! What the runtime leaves for others to find: its state directory, its sockets, and the ids that name them.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use spec_tests::container::Container;

#[test]
fn the_state_directory_is_closed_to_others() {
    let container = Container::sleeping(|_| {});
    let mode = fs::metadata(&container.runtime.root).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "mode {mode:o}");
}

#[test]
fn nothing_of_the_state_is_writable_to_others() {
    let container = Container::sleeping(|_| {});
    let dir = container.runtime.root.join(&container.id);
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let meta = entry.metadata().unwrap();
        let fifo = std::os::unix::fs::FileTypeExt::is_fifo(&meta.file_type());
        // The fifo of a container whose root is another user must be writable to that user.
        assert!(fifo || meta.permissions().mode() & 0o022 == 0, "{}", entry.path().display());
    }
}

#[test]
fn no_abstract_socket_is_left_listening() {
    let sockets = || -> BTreeSet<String> {
        let table = fs::read_to_string("/proc/net/unix").unwrap();
        table
            .lines()
            .filter_map(|line| line.split_whitespace().nth(7))
            .filter(|name| name.starts_with('@'))
            .map(str::to_owned)
            .collect()
    };
    let before = sockets();
    let container = Container::sleeping(|bundle| {
        bundle.share_namespace("network");
    });
    let new: Vec<_> = sockets().difference(&before).cloned().collect();
    assert_eq!(new, Vec::<String>::new());
    drop(container);
}

#[test]
fn an_id_that_leads_out_of_the_state_directory_is_refused() {
    let container = Container::new(|_| {});
    container.bundle.save();
    let victim = container.dir.join("victim");
    fs::create_dir(&victim).unwrap();
    fs::write(victim.join("state.json"), "{}").unwrap();
    for id in ["../victim", "..", ".", "a/b", "/etc", "", "a\nb", "a b", "../../victim"] {
        for args in [
            &["delete", "--force", id][..],
            &["delete", id],
            &["state", id],
            &["kill", id, "KILL"],
            &["start", id],
        ] {
            let outcome = container.command(args).output();
            assert!(outcome.code != 0 || args[1] == "--force", "{outcome}");
        }
        container
            .command(["create", "--bundle", container.bundle.dir.to_str().unwrap(), id])
            .output()
            .fails();
        assert!(victim.join("state.json").exists(), "`{id}` reached the victim");
    }
    container.assert_nothing_left();
}

#[test]
fn a_link_in_place_of_the_unfinished_pid_file_is_not_followed() {
    let container = Container::new(|_| {});
    let kept = container.file("kept", "kept");
    let file = container.path("pid");
    let outcome = container
        .create_with(["--pid-file", &file])
        .prologue(&format!(
            "ln -s {kept} {}; ln -s {kept} {}",
            container.path(".pid"),
            container.path(".pid.$$")
        ))
        .output();
    assert_eq!(std::fs::read_to_string(&kept).unwrap(), "kept");
    // A refusal is as good.
    if outcome.code == 0 {
        assert_eq!(std::fs::read_to_string(&file).unwrap(), container.pid().to_string());
        assert!(!std::fs::symlink_metadata(&file).unwrap().is_symlink());
    }
}
