//! What the Model says of logs, health and restarts, in the keeper's terms. Pure.

use super::restart::Policy;
use super::settings::{Check, Log};
use crate::error::{Error, Result};
use crate::model::refused;
use crate::model::types::{Healthcheck, Logging};
use crate::model::values::Restart;

/// The shell of images that don't name one.
const SHELL: [&str; 2] = ["/bin/sh", "-c"];

impl From<Restart> for Policy {
    fn from(restart: Restart) -> Policy {
        match restart {
            Restart::No => Policy::No,
            Restart::Always => Policy::Always,
            Restart::UnlessStopped => Policy::UnlessStopped,
            Restart::OnFailure(retries_max) => Policy::OnFailure { retries_max },
        }
    }
}

impl Log {
    /// What a service's `logging` says. Without it logs are bounded by the default.
    pub fn of(logging: Option<&Logging>) -> Result<Log> {
        let mut log = Log::default();
        let Some(logging) = logging else { return Ok(log) };
        match logging.driver.as_deref() {
            None | Some("" | "json-file" | "local") => {}
            Some("none") => log.kept = false,
            Some(driver) => {
                return Err(Error::new(format!("logging.driver {driver}: only json-file, local and none")));
            }
        }
        if let Some(size) = logging.options.get("max-size") {
            let parsed = refused::log_bytes(size);
            log.bytes_max =
                parsed.ok_or_else(|| Error::new(format!("logging.options.max-size {size:?}: no size")))?;
        }
        if let Some(files) = logging.options.get("max-file") {
            let parsed = refused::log_files(files);
            log.files_max =
                parsed.ok_or_else(|| Error::new(format!("logging.options.max-file {files:?}: no count")))?;
        }
        Ok(log)
    }
}

impl Check {
    /// The check of a service, over its image's. Nothing if there is none, or it is switched off. `shell` is the
    /// image's.
    pub fn merged(service: Option<&Healthcheck>, image: Option<Check>, shell: &[String]) -> Option<Check> {
        let Some(asked) = service else { return image };
        if asked.disable {
            return None;
        }
        let mut check = match asked.test.first().map(String::as_str) {
            None => image?,
            Some(_) => Check::of(command(&asked.test, shell)?),
        };
        check.interval = asked.interval.map_or(check.interval, |time| time.0);
        check.timeout = asked.timeout.map_or(check.timeout, |time| time.0);
        check.start_period = asked.start_period.map_or(check.start_period, |time| time.0);
        check.start_interval = asked.start_interval.map_or(check.start_interval, |time| time.0);
        check.retries = asked.retries.map_or(check.retries, |retries| retries.try_into().unwrap_or(u32::MAX));
        Some(check)
    }
}

/// The program of a test in Docker's form.
pub fn command(test: &[String], shell: &[String]) -> Option<Vec<String>> {
    match test.split_first().map(|(kind, rest)| (kind.as_str(), rest)) {
        Some(("CMD", args)) if !args.is_empty() => Some(args.to_vec()),
        Some(("CMD-SHELL", line)) => {
            let usual = SHELL.map(str::to_owned);
            let shell = if shell.is_empty() { &usual } else { shell };
            Some(shell.iter().chain(line).cloned().collect())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::values;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|&word| word.to_owned()).collect()
    }

    #[test]
    fn a_test_is_a_program_or_a_line_of_the_images_shell() {
        assert_eq!(command(&words(&["CMD", "a", "b"]), &[]), Some(words(&["a", "b"])));
        assert_eq!(command(&words(&["CMD-SHELL", "a b"]), &[]), Some(words(&["/bin/sh", "-c", "a b"])));
        assert_eq!(
            command(&words(&["CMD-SHELL", "a"]), &words(&["bash", "-c"])),
            Some(words(&["bash", "-c", "a"]))
        );
        assert_eq!(command(&words(&["NONE"]), &[]), None);
    }

    #[test]
    fn a_service_changes_parts_of_its_images_check_or_switches_it_off() {
        let image = || Some(Check { retries: 7, ..Check::of(words(&["of-image"])) });
        let second = Some(values::Duration(Duration::from_secs(1)));
        let faster = Healthcheck { interval: second, ..Healthcheck::default() };
        let check = Check::merged(Some(&faster), image(), &[]).unwrap();
        assert_eq!(
            (check.args, check.retries, check.interval),
            (words(&["of-image"]), 7, Duration::from_secs(1))
        );
        let own = Healthcheck { test: words(&["CMD", "own"]), ..Healthcheck::default() };
        assert_eq!(Check::merged(Some(&own), image(), &[]), Some(Check::of(words(&["own"]))));
        let none = Healthcheck { test: words(&["NONE"]), ..Healthcheck::default() };
        assert_eq!(Check::merged(Some(&none), image(), &[]), None);
        let disabled = Healthcheck { disable: true, ..Healthcheck::default() };
        assert_eq!(Check::merged(Some(&disabled), image(), &[]), None);
        assert_eq!(Check::merged(None, image(), &[]), image());
    }
}
