//! The runtime dies, or a step of it fails, in the middle of its work: after `delete --force` nothing is left.

mod failing_calls;
mod named_steps;
mod system_calls;

use spec_tests::container::Container;

/// Runs `delete --force`, and tells what it has left. Takes the leftovers away, for the next try.
fn left_after_delete(container: &Container, place: &str) -> Option<String> {
    let outcome = container.command(["delete", "--force", &container.id]).output();
    let left = container.leftovers();
    container.sweep();
    let verdict = if outcome.code == 0 { String::new() } else { format!("delete --force: {outcome}") };
    (outcome.code != 0 || !left.is_empty()).then(|| format!("{place}: {verdict}{}", left.join(", ")))
}

/// Does `attempt` with each of `places`, on two threads, and fails with all complaints.
fn at_each<T: Sync>(places: &[T], attempt: impl Fn(&T) -> Option<String> + Sync) {
    assert!(!places.is_empty(), "no place to try");
    let half = places.len().div_ceil(2);
    let complaints: Vec<String> = std::thread::scope(|scope| {
        let attempt = &attempt;
        let threads: Vec<_> = places
            .chunks(half)
            .map(|part| scope.spawn(move || part.iter().filter_map(attempt).collect::<Vec<_>>()))
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("a tester")).collect()
    });
    assert!(
        complaints.is_empty(),
        "{} of {} places:\n{}",
        complaints.len(),
        places.len(),
        complaints.join("\n")
    );
}
