//! The payload can't be executed. Docker and podman turn these phrases into exit codes 126 and 127.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use spec_tests::container::Container;
use spec_tests::only_corten;

use crate::{one_line, refused};

/// A container whose payload is /payload, with this content and mode.
fn payload(content: &str, mode: u32) -> Container {
    Container::new(|bundle| {
        let path = bundle.rootfs().join("payload");
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        bundle.args(["/payload"]);
    })
}

#[test]
fn a_payload_that_is_not_in_path() {
    let container = Container::new(|bundle| {
        bundle.args(["nope"]);
    });
    let phrase = r#"exec: "nope": executable file not found in $PATH"#;
    refused(&container, &container.create().output(), &[phrase], &[]);
    refused(&container, &container.run().output(), &[phrase], &[]);
}

#[test]
fn a_payload_that_does_not_exist() {
    let container = Container::new(|bundle| {
        bundle.args(["/nope"]);
    });
    refused(&container, &container.create().output(), &["/nope", "no such file or directory"], &[]);
    refused(&container, &container.run().output(), &["/nope", "no such file or directory"], &[]);
}

#[test]
fn a_payload_that_may_not_be_executed() {
    let container = payload("#!/bin/sh\n", 0o644);
    refused(&container, &container.create().output(), &["/payload", "permission denied"], &[]);
}

#[test]
fn a_payload_that_is_a_directory() {
    let container = Container::new(|bundle| {
        bundle.args(["/etc"]);
    });
    let outcome = container.run().output();
    let text = outcome.fails();
    assert!(text.contains("is a directory") || text.contains("permission denied"), "{outcome}");
    refused(&container, &outcome, &["/etc"], &[]);
}

#[test]
fn a_payload_of_no_known_format() {
    let container = payload("neither ELF nor script", 0o755);
    refused(&container, &container.run().output(), &["exec format error"], &[]);
}

#[test]
fn a_script_whose_interpreter_is_missing_is_one_line_of_run() {
    let container = payload("#!/nope\n", 0o755);
    let outcome = container.run().output();
    refused(&container, &outcome, &["/payload: no such file or directory"], &[]);
    assert!(one_line(&outcome.fails()), "{outcome}");
}

#[test]
fn a_script_whose_interpreter_is_missing_is_one_line_of_exec() {
    let container = Container::sleeping(|bundle| {
        let path = bundle.rootfs().join("payload");
        fs::write(&path, "#!/nope\n").unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    });
    let outcome = container.exec(&["/payload"]).output();
    assert!(outcome.fails().contains("/payload: no such file or directory"), "{outcome}");
    assert!(one_line(&outcome.fails()), "{outcome}");
    assert_eq!(container.status(), "running");
}

#[test]
fn exec_exits_with_255_whatever_is_wrong() {
    only_corten!("255 even where execve itself fails");
    let container = Container::sleeping(|_| {});
    for args in [&["nope"][..], &["/nope"], &["/etc"], &["/etc/passwd"]] {
        assert_eq!(container.exec(args).output().code, 255, "{args:?}");
    }
}

#[test]
fn the_exit_code_of_a_container_that_executes_nothing_is_255() {
    spec_tests::not_in_runc_1_1!("exits with 1");
    for content in ["neither ELF nor script", "#!/nope\n"] {
        let container = payload(content, 0o755);
        let pid_file = container.path("pid");
        // Whoever reaps init sees the code: a subreaper, as an engine's shim is.
        let subreaper = format!(
            "syscall({}, 36, 1, 0, 0, 0); system(@ARGV) == 0 or die; open(F, '{pid_file}'); $pid = <F>;
             system('{}', '--root', '{}', 'start', '{}'); waitpid($pid, 0); print 'code ', $? >> 8",
            libc::SYS_prctl,
            container.runtime.binary.display(),
            container.runtime.root.display(),
            container.id
        );
        let created = container.create_with(["--pid-file", &pid_file]).by(["perl", "-e", &subreaper]);
        assert_eq!(created.output().ok(), "code 255");
    }
}

#[test]
fn no_payload_at_all() {
    let container = Container::new(|bundle| {
        bundle.set("/process/args", serde_json::json!([]));
    });
    refused(&container, &container.create().output(), &["args"], &["process.args"]);
}

#[test]
fn an_argument_with_a_nul() {
    let container = Container::new(|bundle| {
        bundle.args(["echo", "a\0b"]);
    });
    refused(&container, &container.run().output(), &[], &["process.args"]);
}

#[test]
fn a_variable_without_a_name() {
    let container = Container::new(|bundle| {
        bundle.set("/process/env", serde_json::json!(["PATH=/bin", "A=1\0B"]));
    });
    refused(&container, &container.run().output(), &[], &["process.env"]);
}
