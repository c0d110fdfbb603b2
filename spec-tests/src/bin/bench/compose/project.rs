//! The projects that are brought up.

/// The services of a project.
pub const SERVICES: usize = 10;

/// How many of them publish a port.
const PUBLISHED: usize = 3;

/// The containers of a full host.
pub const CROWD: usize = 200;

/// Ten services, each of which waits for the first, three of them with a port of the host. The program of a container
/// heeds no SIGTERM, so that it is stopped by SIGKILL.
pub fn services(image: &str, cgroup: &str, first_port: usize) -> String {
    let mut text = String::from("services:\n");
    for number in 0..SERVICES {
        text.push_str(&format!(
            "  s{number}:\n    image: {image}\n    command: [sleep, \"1000\"]\n    stop_signal: SIGKILL\n    \
             cgroup_parent: {cgroup}\n"
        ));
        if number > 0 {
            text.push_str("    depends_on: [s0]\n");
        }
        if number < PUBLISHED {
            text.push_str(&format!("    ports: [\"{}:80\"]\n", first_port + number));
        }
    }
    text
}

/// One service of many replicas.
pub fn crowd(image: &str, cgroup: &str) -> String {
    format!(
        "services:\n  c:\n    image: {image}\n    command: [sleep, \"1000\"]\n    network_mode: none\n    \
         cgroup_parent: {cgroup}\n    deploy:\n      replicas: {CROWD}\n"
    )
}
