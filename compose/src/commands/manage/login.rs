//! `login` and `logout`.

use std::io::{BufRead, IsTerminal, Write};

use nix::sys::termios::{LocalFlags, SetArg, tcgetattr, tcsetattr};

use super::{Ended, print, say};
use crate::apply::credentials::{Credentials, HUB_KEY, Store, key_of};
use crate::apply::login::{Verdict, verify};
use crate::cli::manage::Login;
use crate::error::{Context, Error, Result, shown, tell_lines};
use crate::input;

pub fn login(asked: &Login) -> Ended {
    if asked.password.is_some() && asked.password_stdin {
        return Err(Error::new("--password and --password-stdin are mutually exclusive"));
    }
    if asked.password_stdin && asked.user.is_none() {
        return Err(Error::new("Must provide --username with --password-stdin"));
    }
    if asked.password.is_some() {
        tell_lines(format_args!("WARNING! Using --password via the CLI is insecure. Use --password-stdin."));
    }
    let server = asked.server.as_deref().unwrap_or(HUB_KEY);
    let mut store = Store::open()?;
    let credentials = credentials(asked, server, &store)?;
    let verdict = verify(server, &credentials)?;
    store.remember(server, &credentials)?;
    if verdict == Verdict::Unknown {
        tell_lines(format_args!("WARNING! The password was not verified: curl is not installed."));
    }
    if !store.is_helped(server) {
        tell_lines(format_args!(
            "\nWARNING! Your credentials are stored unencrypted in '{}'.\nConfigure a credential helper to remove this \
             warning. See\nhttps://docs.docker.com/go/credential-store/\n",
            store.path().display()
        ));
    }
    say("Login Succeeded");
    Ok(0)
}

fn credentials(asked: &Login, server: &str, store: &Store) -> Result<Credentials> {
    if asked.password_stdin {
        let secret = input::text_of_stdin().at("stdin")?;
        let secret = secret.trim_end_matches('\n').trim_end_matches('\r').to_owned();
        return named(asked.user.clone().unwrap_or_default(), secret);
    }
    if let (Some(user), Some(secret)) = (&asked.user, &asked.password) {
        return named(user.clone(), secret.clone());
    }
    // Who is known already needs to say nothing.
    if asked.user.is_none() && asked.password.is_none() {
        if let Some(known) = store.credentials(server)? {
            say("Authenticating with existing credentials...");
            return Ok(known);
        }
    }
    if !std::io::stdin().is_terminal() {
        return Err(Error::new("Cannot perform an interactive login from a non TTY device"));
    }
    let user = match &asked.user {
        Some(user) => user.clone(),
        None => {
            print("Username: ")?;
            line()?
        }
    };
    let secret = match &asked.password {
        Some(secret) => secret.clone(),
        None => unseen("Password: ")?,
    };
    named(user, secret)
}

fn named(user: String, secret: String) -> Result<Credentials> {
    if user.is_empty() || user.contains(':') || user.chars().any(char::is_control) {
        return Err(Error::new("username: it is empty, or has a colon or control characters"));
    }
    if secret.is_empty() {
        return Err(Error::new("password is empty"));
    }
    Ok(Credentials { user, secret })
}

fn line() -> Result<String> {
    std::io::stdout().flush()?;
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).at("stdin")?;
    Ok(line.trim().to_owned())
}

/// Reads a line that the terminal doesn't repeat.
fn unseen(prompt: &str) -> Result<String> {
    let stdin = std::io::stdin();
    let before = tcgetattr(&stdin).at("the terminal")?;
    let mut quiet = before.clone();
    quiet.local_flags.remove(LocalFlags::ECHO);
    quiet.local_flags.insert(LocalFlags::ECHONL);
    tcsetattr(&stdin, SetArg::TCSANOW, &quiet).at("the terminal")?;
    print(prompt)?;
    let line = line();
    tcsetattr(&stdin, SetArg::TCSANOW, &before).at("the terminal")?;
    line
}

pub fn logout(server: Option<&str>) -> Ended {
    let server = server.unwrap_or(HUB_KEY);
    let key = key_of(server);
    if Store::open()?.forget(server)? {
        say(shown(&format!("Removing login credentials for {key}")));
    } else {
        say(shown(&format!("Not logged in to {key}")));
    }
    Ok(0)
}
