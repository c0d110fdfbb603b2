//! Reads /proc/PID/mountinfo.

/// One mount, as far as tests ask.
#[derive(Debug)]
pub struct Mount {
    /// The optional fields: `shared:N`, `master:N`, `unbindable`.
    pub tags: Vec<String>,
    options: Vec<String>,
}

impl Mount {
    /// Tells whether this word is among the options of the mount or of its superblock, which repeats `rw` and `ro`.
    pub fn has(&self, option: &str) -> bool {
        self.options.iter().any(|word| word == option)
    }
}

/// The mounts on `place`, the uppermost last.
pub fn mounts_on(mountinfo: &str, place: &str) -> Vec<Mount> {
    let on_place = mountinfo.lines().filter(|line| line.split(' ').nth(4) == Some(place));
    on_place.filter_map(parse).collect()
}

/// See proc_pid_mountinfo(5): ID PARENT MAJOR:MINOR ROOT PLACE OPTIONS TAGS… - TYPE SOURCE SUPERBLOCK-OPTIONS.
fn parse(line: &str) -> Option<Mount> {
    let (mount, superblock) = line.split_once(" - ")?;
    let mut fields = mount.split(' ').skip(5);
    let own = fields.next()?.split(',');
    let of_superblock = superblock.split(' ').nth(2)?.split(',').filter(|word| !matches!(*word, "rw" | "ro"));
    Some(Mount {
        options: own.chain(of_superblock).map(str::to_owned).collect(),
        tags: fields.map(str::to_owned).collect(),
    })
}
