//! The proxies that the configuration of Docker's client names: containers and builds get them as variables.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::error::tell_lines;
use crate::model::types::Service;

/// The configuration, as far as it is read here.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Config {
    /// By the daemon's address, or `default`. There is no daemon here.
    proxies: BTreeMap<String, Proxies>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Proxies {
    http_proxy: String,
    https_proxy: String,
    no_proxy: String,
    ftp_proxy: String,
    all_proxy: String,
}

/// The variables, each in both of its spellings. A configuration that can't be read is told of, and has none.
pub fn variables() -> Vec<(String, String)> {
    let file = super::file();
    match std::fs::read_to_string(&file) {
        Err(_) => Vec::new(),
        Ok(text) => of(&text).unwrap_or_else(|err| {
            tell_lines(format_args!("warning: {}: {err}", file.display()));
            Vec::new()
        }),
    }
}

/// Gives a service the variables that it doesn't set itself.
pub fn give(service: &mut Service) {
    for (name, value) in variables() {
        service.environment.entry(name).or_insert(Some(value));
    }
}

fn of(text: &str) -> serde_json::Result<Vec<(String, String)>> {
    let mut config: Config = serde_json::from_str(text)?;
    let proxies = config.proxies.remove("default").unwrap_or_default();
    let named = [
        ("HTTP_PROXY", proxies.http_proxy),
        ("HTTPS_PROXY", proxies.https_proxy),
        ("NO_PROXY", proxies.no_proxy),
        ("FTP_PROXY", proxies.ftp_proxy),
        ("ALL_PROXY", proxies.all_proxy),
    ];
    let said = named.into_iter().filter(|(_, value)| !value.is_empty());
    Ok(said
        .flat_map(|(name, value)| [(name.to_owned(), value.clone()), (name.to_ascii_lowercase(), value)])
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_a_variable_in_both_spellings() {
        let text = r#"{"auths": {}, "proxies": {"default": {"httpProxy": "http://p:1", "noProxy": "local"},
            "tcp://other": {"ftpProxy": "x"}}}"#;
        let said: Vec<String> =
            of(text).unwrap().iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(
            said,
            ["HTTP_PROXY=http://p:1", "http_proxy=http://p:1", "NO_PROXY=local", "no_proxy=local"]
        );
        assert!(of("{}").unwrap().is_empty() && of("[").is_err());
    }
}
