//! Signals by the names that people type.

use std::str::FromStr;

use nix::sys::signal::Signal;

use crate::error::{Error, Result};

/// The first and the last of the numbers that programs may give a meaning.
const REALTIME: (u32, u32) = (34, 64);

/// Older names of signals, each with the name that the kernel's list has.
const ALIASES: [(&str, &str); 3] = [("CLD", "CHLD"), ("IOT", "ABRT"), ("POLL", "IO")];

/// `TERM`, `SIGTERM`, `15`, `RTMIN+3`.
///
/// Errors: what is no signal, in Docker's words.
pub fn number(typed: &str) -> Result<u32> {
    let wrong = || Error::new(format!("invalid signal: {typed}"));
    if let Ok(number) = typed.parse::<u32>() {
        return if (1..=REALTIME.1).contains(&number) { Ok(number) } else { Err(wrong()) };
    }
    let name = typed.to_ascii_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    let offset = |text: &str, sign| text.strip_prefix(sign).map_or(Ok(0), str::parse::<u32>);
    let realtime = if let Some(plus) = name.strip_prefix("RTMIN") {
        offset(plus, '+').ok().and_then(|plus| REALTIME.0.checked_add(plus))
    } else if let Some(minus) = name.strip_prefix("RTMAX") {
        offset(minus, '-').ok().and_then(|minus| REALTIME.1.checked_sub(minus))
    } else {
        let name = ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, name)| name);
        let signal = Signal::from_str(&format!("SIG{name}")).ok();
        return signal.map(|signal| signal as u32).ok_or_else(wrong);
    };
    realtime.filter(|number| (REALTIME.0..=REALTIME.1).contains(number)).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn signals_have_several_spellings() {
        for (typed, meant) in [
            ("TERM", 15),
            ("sigterm", 15),
            ("9", 9),
            ("RTMIN", 34),
            ("SIGRTMIN+3", 37),
            ("RTMAX-1", 63),
            ("64", 64),
            ("SIGPOLL", 29),
            ("iot", 6),
            ("CLD", 17),
        ] {
            assert_eq!(number(typed).unwrap(), meant, "{typed}");
        }
        for typed in ["", "0", "65", "SIG", "NOPE", "RTMIN+99", "RTMAX-99", "-1"] {
            assert!(number(typed).is_err(), "{typed}");
        }
    }
}
