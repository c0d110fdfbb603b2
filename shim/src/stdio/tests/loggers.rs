//! Programs that take the output.

use super::*;

#[test]
fn a_logger_has_its_arguments_names_and_descriptors() {
    run(async {
        let place = Place::new();
        let script = "echo \"$CONTAINER_NAMESPACE/$CONTAINER_ID $LANG $*\" > told\n\
                      exec 5>&-\ncat <&3 > out\ncat <&4 > err\n";
        let uri = place.logger("binary", script) + "&a=b&c&env.LANG=C&env.CONTAINER_ID=no";
        let (mut stdio, [stdin, mut stdout, mut stderr]) = begun(&streams("", &uri, &uri)).await;
        assert!(is_null(&stdin));
        assert_eq!(place.text("told"), "ns/web1 C  a b c \n");
        stdout.write_all(b"to stdout").unwrap();
        stderr.write_all(b"to stderr").unwrap();
        drop((stdout, stderr));
        stdio.drained(LONG).await;
        place.is_written("out", "to stdout").await;
        place.is_written("err", "to stderr").await;
    });
}

#[test]
fn a_logger_that_dies_is_started_again_where_it_was() {
    run(async {
        let place = Place::new();
        // Reads one line in its life.
        let uri = place.logger("binary", "exec 5>&-\nread line <&3 && echo \"$line\" >> log\nkill -9 $$\n");
        let (mut stdio, [_, mut stdout, stderr]) = begun(&streams("", &uri, &uri)).await;
        for line in ["one", "two", "three"] {
            writeln!(stdout, "{line}").unwrap();
        }
        drop((stdout, stderr));
        stdio.drained(LONG).await;
        place.is_written("log", "one\ntwo\nthree\n").await;
    });
}

#[test]
fn a_logger_that_never_works_costs_its_output_and_not_the_process() {
    run(async {
        let place = Place::new();
        let uri = place.logger("binary", "exit 1\n");
        let (mut stdio, [_, mut stdout, stderr]) = begun(&streams("", &uri, "")).await;
        fs::remove_file(place.path("logger")).unwrap();
        let process = tokio::task::spawn_blocking(move || stdout.write_all(&[0; 200_000]).unwrap());
        process.await.unwrap();
        drop(stderr);
        stdio.drained(LONG).await;
    });
}

#[test]
fn a_logger_must_be_ready() {
    run(async {
        let place = Place::new();
        let refused = refusal(streams("", "binary:///no/such/logger", "")).await;
        assert!(refused.text.contains("/no/such/logger") && refused.text.contains("ENOENT"), "{refused:?}");
        // By its end at the latest, but in the second version not by its end.
        let (_stdio, _files) = open(&streams("", &place.logger("binary", "exit 0\n"), "")).await;
        let refused = refusal(streams("", &place.logger("binary-v2", "exit 0\n"), "")).await;
        assert!(refused.text.contains("without telling"), "{refused:?}");
        let ready = place.logger("binary-v2", "printf x >&5\nexec cat <&3 >&4\n");
        let (_stdio, _files) = open(&streams("", &ready, "")).await;
    });
}

#[test]
fn a_logger_is_told_to_end() {
    run(async {
        let place = Place::new();
        // A shell looks for signals between commands: one that comes just before a `read` would wait for its end.
        let script = "trap 'echo told > end; exit' TERM\nexec 5>&-\nwhile :; do sleep 0.02; done\n";
        let uri = place.logger("binary", script);
        let (stdio, files) = begun(&streams("", &uri, "")).await;
        drop(stdio);
        while !fs::read_to_string(place.path("end")).is_ok_and(|text| !text.is_empty()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        drop(files);
    });
}

#[test]
fn a_logger_that_does_not_end_is_killed() {
    run(async {
        let place = Place::new();
        let script = "trap '' TERM\nexec 5>&-\necho $$ > pid\nwhile :; do sleep 0.02; done\n";
        let (stdio, files) = begun(&streams("", &place.logger("binary", script), "")).await;
        while !fs::read_to_string(place.path("pid")).is_ok_and(|text| !text.is_empty()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let process = format!("/proc/{}", fs::read_to_string(place.path("pid")).unwrap().trim());
        drop((stdio, files));
        tokio::time::timeout(LONG, loggers_ended()).await.unwrap();
        assert!(!std::path::Path::new(&process).exists(), "{process}");
    });
}

#[test]
fn stdin_works_beside_a_logger() {
    run(async {
        let place = Place::new();
        let stdin = place.fifo("in");
        let uri = place.logger("binary", "exec 5>&-\ncat <&3 > out\n");
        let (mut stdio, [input, output, error]) = begun(&streams(&stdin, &uri, &uri)).await;
        let mut cat = Command::new("cat").stdin(input).stdout(output).stderr(error).spawn().unwrap();
        aside(move || OpenOptions::new().write(true).open(stdin).unwrap().write_all(b"typed").unwrap()).await;
        stdio.close_stdin();
        aside(move || cat.wait().unwrap()).await;
        stdio.drained(LONG).await;
        place.is_written("out", "typed").await;
    });
}
