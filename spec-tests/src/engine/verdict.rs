//! The comparison of what two runtimes made of a scenario.

use super::normal::{difference, normalise};
use super::process::Said;
use super::role::Role;
use super::{Outcome, Stop};

/// A scenario under one runtime: what came of it, and what was said. The outer failure is the engine's.
pub type Performance = Outcome<(Outcome, Vec<Said>)>;

/// Carries a scenario out in each of `roles` and compares the transcripts; with a single role there is nothing to
/// compare.
pub fn judge(roles: &[Role], carry_out: impl Fn(Role) -> Performance) -> Outcome {
    let mut transcripts = Vec::new();
    let mut complaints = Vec::new();
    for &role in roles {
        match carry_out(role) {
            Ok((Ok(()), transcript)) => transcripts.push(transcript),
            Ok((Err(Stop::Skipped(why)), _)) | Err(Stop::Skipped(why)) => return Err(Stop::Skipped(why)),
            Ok((Err(Stop::Failed(why)), _)) | Err(Stop::Failed(why)) => {
                complaints.push(format!("under the {} runtime: {why}", role.word()));
            }
        }
    }
    if !complaints.is_empty() {
        return Err(Stop::Failed(complaints.join("\n\n")));
    }
    match transcripts.as_slice() {
        [reference, tested] => compare(reference, tested),
        _ => Ok(()),
    }
}

/// Compares two transcripts, step by step.
fn compare(reference: &[Said], tested: &[Said]) -> Outcome {
    let mut text = String::new();
    for (ours, theirs) in tested.iter().zip(reference) {
        let (was, is) = (for_comparison(theirs), for_comparison(ours));
        if was != is {
            text += &format!("$ {}\n{}", ours.command, difference("reference", &was, "tested", &is));
        }
    }
    if reference.len() != tested.len() {
        text += &format!(
            "{} steps under the reference, {} under the tested runtime\n",
            reference.len(),
            tested.len()
        );
    }
    super::ensure(text.is_empty(), || format!("the runtimes differ:\n{text}"))
}

fn for_comparison(said: &Said) -> String {
    let stderr: String = normalise(&said.stderr).lines().map(|line| format!("stderr: {line}\n")).collect();
    format!("{}\n{stderr}exit code: {}", normalise(&said.stdout), said.code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(stdout: &str, code: i32) -> Said {
        Said { command: "docker x".into(), stdout: stdout.into(), stderr: String::new(), code }
    }

    #[test]
    fn seats_that_say_the_same_but_for_ids_are_equal() {
        assert!(compare(&[said("d933fc6948cf", 0)], &[said("0123456789ab", 0)]).is_ok());
    }

    #[test]
    fn another_exit_code_or_another_word_is_a_difference() {
        assert!(compare(&[said("a", 0)], &[said("a", 1)]).is_err());
        assert!(compare(&[said("a", 0)], &[said("b", 0)]).is_err());
        assert!(compare(&[said("a", 0)], &[]).is_err());
    }
}
