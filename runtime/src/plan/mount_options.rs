//! The words of `mounts[].options`: one table of what each asks for, and what a list of them says in all.
//!
//! The words fall into four groups which the kernel keeps apart: attributes of the one mount (or, with an `r`
//! before the word, of the whole tree), flags of the filesystem's superblock, propagation, and what a runtime
//! does around the mount. A word that isn't in the table is the filesystem's own and is handed to it.
//! `corten features` lists this table.
//!
//! Source: runtime-spec config.md "Linux mount options"; mount_setattr(2); mount(8).

/// `MOUNT_ATTR_RDONLY`: no writes through this mount.
pub const ATTR_RDONLY: u64 = 0x01;
/// `MOUNT_ATTR_NOSUID`: set-user-id bits and file capabilities don't count.
pub const ATTR_NOSUID: u64 = 0x02;
/// `MOUNT_ATTR_NODEV`: device nodes can't be opened.
pub const ATTR_NODEV: u64 = 0x04;
/// `MOUNT_ATTR_NOEXEC`: no program is executed.
pub const ATTR_NOEXEC: u64 = 0x08;
/// `MOUNT_ATTR__ATIME`: the mask of the three exclusive access-time settings.
pub const ATTR_ATIME_MASK: u64 = 0x70;
/// `MOUNT_ATTR_RELATIME`: the kernel's default, spelled as no bit in the mask.
pub const ATTR_RELATIME: u64 = 0x00;
/// `MOUNT_ATTR_NOATIME`: access times are never updated.
pub const ATTR_NOATIME: u64 = 0x10;
/// `MOUNT_ATTR_STRICTATIME`: access times are always updated.
pub const ATTR_STRICTATIME: u64 = 0x20;
/// `MOUNT_ATTR_NODIRATIME`: access times of directories are never updated.
pub const ATTR_NODIRATIME: u64 = 0x80;
/// `MOUNT_ATTR_NOSYMFOLLOW`: symbolic links aren't followed (Linux 5.14).
pub const ATTR_NOSYMFOLLOW: u64 = 0x20_0000;

/// What a bind mount that is given any flag loses of its source's, unless it is named too: so did mount(2) with
/// MS_REMOUNT|MS_BIND, and containers depend on it.
pub const HABITUALLY_CLEARED: u64 = ATTR_RDONLY | ATTR_NOSUID | ATTR_NODEV | ATTR_NOEXEC | ATTR_NOSYMFOLLOW;

/// `MS_RDONLY` to `MS_STRICTATIME` of mount(2), for a kernel without mount_setattr (before 5.12).
const MS_OF_ATTR: [(u64, u64); 8] = [
    (ATTR_RDONLY, 1),
    (ATTR_NOSUID, 2),
    (ATTR_NODEV, 4),
    (ATTR_NOEXEC, 8),
    (ATTR_NOSYMFOLLOW, 1 << 8),
    (ATTR_NOATIME, 1 << 10),
    (ATTR_NODIRATIME, 1 << 11),
    (ATTR_STRICTATIME, 1 << 24),
];

/// What one word asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Gives this mount an attribute, or takes it away.
    Attr(Switch),
    /// The same for the mount and all below it; needs mount_setattr (Linux 5.12).
    RecursiveAttr(Switch),
    /// Sets a flag of the superblock, in fsconfig(2)'s spelling: `sync` and `async` are two words there too.
    Super(&'static str),
    /// Makes a bind mount.
    Bind(Depth),
    /// Changes a mount that is there already.
    Remount,
    /// Sets how mount events travel; applied after the mount.
    Propagation(Propagation, Depth),
    /// Copies what the mountpoint held into the new tmpfs.
    TmpCopyUp,
    /// Maps the owners of a bind mount's files.
    IdMap(Depth),
    /// Nothing: `defaults`, and what the kernel's mount API can't be asked for any more. `silent` and `loud`
    /// spoke of the kernel's log; a filesystem that counts versions (`iversion`) always does.
    Nothing,
}

/// An attribute that is set or cleared: the bits of `MOUNT_ATTR_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// The word sets this attribute.
    Set(u64),
    /// The word clears this attribute.
    Clear(u64),
}

/// How far an effect reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// This mount alone.
    One,
    /// The mount and all below it.
    Tree,
}

/// How mount events travel between a mount and its peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// Both ways.
    Shared,
    /// Into this mount only.
    Slave,
    /// Not at all.
    Private,
    /// Not at all, and it can't be bound elsewhere.
    Unbindable,
}

/// Every word with its effect, sorted by word.
pub const MOUNT_OPTIONS: &[(&str, Effect)] = {
    use Depth::{One, Tree};
    use Effect::{Attr, Bind, IdMap, Nothing, RecursiveAttr, Remount, Super, TmpCopyUp};
    use Propagation::{Private, Shared, Slave, Unbindable};
    use Switch::{Clear, Set};
    &[
        ("async", Super("async")),
        ("atime", Attr(Clear(ATTR_NOATIME))),
        ("bind", Bind(One)),
        ("defaults", Nothing),
        ("dev", Attr(Clear(ATTR_NODEV))),
        ("diratime", Attr(Clear(ATTR_NODIRATIME))),
        ("dirsync", Super("dirsync")),
        ("exec", Attr(Clear(ATTR_NOEXEC))),
        ("idmap", IdMap(One)),
        ("iversion", Nothing),
        ("lazytime", Super("lazytime")),
        ("loud", Nothing),
        ("mand", Super("mand")),
        ("noatime", Attr(Set(ATTR_NOATIME))),
        ("nodev", Attr(Set(ATTR_NODEV))),
        ("nodiratime", Attr(Set(ATTR_NODIRATIME))),
        ("noexec", Attr(Set(ATTR_NOEXEC))),
        ("noiversion", Nothing),
        ("nolazytime", Super("nolazytime")),
        ("nomand", Super("nomand")),
        ("norelatime", Attr(Clear(ATTR_RELATIME))),
        ("nostrictatime", Attr(Clear(ATTR_STRICTATIME))),
        ("nosuid", Attr(Set(ATTR_NOSUID))),
        ("nosymfollow", Attr(Set(ATTR_NOSYMFOLLOW))),
        ("private", Effect::Propagation(Private, One)),
        ("ratime", RecursiveAttr(Clear(ATTR_NOATIME))),
        ("rbind", Bind(Tree)),
        ("rdev", RecursiveAttr(Clear(ATTR_NODEV))),
        ("rdiratime", RecursiveAttr(Clear(ATTR_NODIRATIME))),
        ("relatime", Attr(Set(ATTR_RELATIME))),
        ("remount", Remount),
        ("rexec", RecursiveAttr(Clear(ATTR_NOEXEC))),
        ("ridmap", IdMap(Tree)),
        ("rnoatime", RecursiveAttr(Set(ATTR_NOATIME))),
        ("rnodev", RecursiveAttr(Set(ATTR_NODEV))),
        ("rnodiratime", RecursiveAttr(Set(ATTR_NODIRATIME))),
        ("rnoexec", RecursiveAttr(Set(ATTR_NOEXEC))),
        ("rnorelatime", RecursiveAttr(Clear(ATTR_RELATIME))),
        ("rnostrictatime", RecursiveAttr(Clear(ATTR_STRICTATIME))),
        ("rnosuid", RecursiveAttr(Set(ATTR_NOSUID))),
        ("rnosymfollow", RecursiveAttr(Set(ATTR_NOSYMFOLLOW))),
        ("ro", Attr(Set(ATTR_RDONLY))),
        ("rprivate", Effect::Propagation(Private, Tree)),
        ("rrelatime", RecursiveAttr(Set(ATTR_RELATIME))),
        ("rro", RecursiveAttr(Set(ATTR_RDONLY))),
        ("rrw", RecursiveAttr(Clear(ATTR_RDONLY))),
        ("rshared", Effect::Propagation(Shared, Tree)),
        ("rslave", Effect::Propagation(Slave, Tree)),
        ("rstrictatime", RecursiveAttr(Set(ATTR_STRICTATIME))),
        ("rsuid", RecursiveAttr(Clear(ATTR_NOSUID))),
        ("rsymfollow", RecursiveAttr(Clear(ATTR_NOSYMFOLLOW))),
        ("runbindable", Effect::Propagation(Unbindable, Tree)),
        ("rw", Attr(Clear(ATTR_RDONLY))),
        ("shared", Effect::Propagation(Shared, One)),
        ("silent", Nothing),
        ("slave", Effect::Propagation(Slave, One)),
        ("strictatime", Attr(Set(ATTR_STRICTATIME))),
        ("suid", Attr(Clear(ATTR_NOSUID))),
        ("symfollow", Attr(Clear(ATTR_NOSYMFOLLOW))),
        ("sync", Super("sync")),
        ("tmpcopyup", TmpCopyUp),
        ("unbindable", Effect::Propagation(Unbindable, One)),
    ]
};

/// What the options of one mount say in all; of two words that contradict each other, the later counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MountOptions<'a> {
    /// Attributes of this mount.
    pub attr: AttrChange,
    /// Some word is about an attribute of this mount, though others may have taken it back.
    pub names_attr: bool,
    /// Attributes of the mount and all below it.
    pub recursive_attr: AttrChange,
    /// Flags of the superblock, in the order given.
    pub superblock: Vec<&'static str>,
    /// A bind mount, and how much of the source it shows.
    pub bind: Option<Depth>,
    /// Changes a mount that is there already.
    pub remount: bool,
    /// Applied one after the other: `["rslave", "shared"]` makes a slave that shares on.
    pub propagation: Vec<(Propagation, Depth)>,
    /// Copies what the mountpoint held into the new tmpfs.
    pub tmp_copy_up: bool,
    /// Maps the owners of a bind mount's files.
    pub id_map: Option<Depth>,
    /// The filesystem's own options, in the order given.
    pub data: Vec<&'a str>,
}

impl<'a> MountOptions<'a> {
    /// Reads a list of options.
    pub fn of(words: impl IntoIterator<Item = &'a str>) -> Self {
        let mut all = MountOptions::default();
        let mut access_times = AccessTimes::default();
        for word in words {
            match effect(word) {
                Some(Effect::Attr(switch)) => {
                    all.names_attr = true;
                    if !access_times.turn(switch) {
                        all.attr.turn(switch);
                    }
                }
                Some(effect) => all.add(effect),
                None => all.data.push(word),
            }
        }
        access_times.settle(&mut all.attr);
        all
    }

    fn add(&mut self, effect: Effect) {
        match effect {
            Effect::RecursiveAttr(switch) => self.recursive_attr.turn(switch),
            Effect::Super(flag) => self.superblock.push(flag),
            Effect::Bind(depth) => self.bind = Some(depth),
            Effect::Remount => self.remount = true,
            Effect::Propagation(kind, depth) => self.propagation.push((kind, depth)),
            Effect::TmpCopyUp => self.tmp_copy_up = true,
            Effect::IdMap(depth) => self.id_map = Some(depth),
            Effect::Attr(_) | Effect::Nothing => {}
        }
    }
}

/// What `word` asks for; nothing if it is the filesystem's own.
pub fn effect(word: &str) -> Option<Effect> {
    let at = MOUNT_OPTIONS.binary_search_by_key(&word, |(known, _)| known).ok()?;
    Some(MOUNT_OPTIONS[at].1)
}

/// Attributes to set and to clear, as `struct mount_attr` of mount_setattr(2) takes them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AttrChange {
    /// `attr_set`
    pub set: u64,
    /// `attr_clr`
    pub clear: u64,
    /// Cleared as well, but for what a more privileged user namespace has locked.
    pub clear_if_unlocked: u64,
}

impl AttrChange {
    /// Whether nothing is asked for.
    pub fn is_empty(self) -> bool {
        self == AttrChange::default()
    }

    /// Sets and clears these.
    pub const fn of(set: u64, clear: u64) -> AttrChange {
        AttrChange { set, clear, clear_if_unlocked: 0 }
    }

    /// Adds one word's wish to the earlier ones.
    pub fn turn(&mut self, switch: Switch) {
        match switch {
            Switch::Set(attr) if is_atime(attr) => self.set_atime(attr),
            Switch::Clear(attr) if is_atime(attr) => self.clear_atime(attr),
            Switch::Set(attr) => (self.set, self.clear) = (self.set | attr, self.clear & !attr),
            Switch::Clear(attr) => (self.set, self.clear) = (self.set & !attr, self.clear | attr),
        }
    }

    /// The settings for access times exclude each other, and the kernel (EINVAL) wants the whole mask cleared
    /// to set one of them.
    fn set_atime(&mut self, attr: u64) {
        self.set = self.set & !ATTR_ATIME_MASK | attr;
        self.clear |= ATTR_ATIME_MASK;
    }

    /// `ratime` after `rstrictatime` takes nothing back: it only says that the setting isn't `rnoatime`.
    fn clear_atime(&mut self, attr: u64) {
        let nothing_said = self.clear & ATTR_ATIME_MASK == 0;
        if nothing_said || self.set & ATTR_ATIME_MASK == attr {
            self.set_atime(ATTR_RELATIME);
        }
    }
}

/// The words about access times that stand in the end, with mount(2)'s rules for them, which callers of runc have got
/// used to: without any, the mount keeps what it has; otherwise all of it is settled anew, `relatime` at the least,
/// `noatime` before that, and `strictatime` before both.
#[derive(Clone, Copy, Default)]
struct AccessTimes {
    noatime: bool,
    nodiratime: bool,
    relatime: bool,
    strictatime: bool,
}

impl AccessTimes {
    /// Takes a word, if it is one of these.
    fn turn(&mut self, switch: Switch) -> bool {
        let (Switch::Set(attr) | Switch::Clear(attr)) = switch;
        let word = match attr {
            ATTR_NOATIME => &mut self.noatime,
            ATTR_NODIRATIME => &mut self.nodiratime,
            ATTR_RELATIME => &mut self.relatime,
            ATTR_STRICTATIME => &mut self.strictatime,
            _ => return false,
        };
        *word = matches!(switch, Switch::Set(_));
        true
    }

    fn settle(self, attr: &mut AttrChange) {
        let AccessTimes { noatime, nodiratime, relatime, strictatime } = self;
        if !(noatime || nodiratime || relatime || strictatime) {
            return;
        }
        attr.set |= match (strictatime, noatime) {
            (true, _) => ATTR_STRICTATIME,
            (_, true) => ATTR_NOATIME,
            _ => ATTR_RELATIME,
        };
        attr.clear |= ATTR_ATIME_MASK;
        if nodiratime {
            attr.set |= ATTR_NODIRATIME;
        } else {
            attr.clear |= ATTR_NODIRATIME;
        }
    }
}

fn is_atime(attr: u64) -> bool {
    attr & !ATTR_ATIME_MASK == 0
}

/// The flags of mount(2) for all attributes that a mount is to have: without MS_RELATIME, a remount would leave the
/// setting for access times as it is.
pub fn ms_flags_of_all(attr: u64) -> u64 {
    ms_flags(attr) | if attr & ATTR_ATIME_MASK == ATTR_RELATIME { libc::MS_RELATIME } else { 0 }
}

/// The flags of mount(2) for attributes of mount_setattr(2).
pub fn ms_flags(attr: u64) -> u64 {
    MS_OF_ATTR.iter().filter(|(bit, _)| attr & bit != 0).fold(0, |flags, (_, flag)| flags | flag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<'a>(words: &[&'a str]) -> MountOptions<'a> {
        MountOptions::of(words.iter().copied())
    }

    #[test]
    fn table_is_sorted_and_has_no_word_twice() {
        assert!(MOUNT_OPTIONS.is_sorted_by(|(a, _), (b, _)| a < b));
    }

    #[test]
    fn every_attribute_has_a_recursive_twin() {
        for (word, effect) in MOUNT_OPTIONS {
            if let Effect::Attr(switch) = effect {
                let twin = format!("r{word}");
                assert_eq!(super::effect(&twin), Some(Effect::RecursiveAttr(*switch)), "{twin}");
            }
        }
    }

    #[test]
    fn every_option_of_the_specification_is_known_or_data() {
        let spec = "async atime bind defaults dev diratime dirsync exec iversion lazytime loud noatime nodev \
                    nodiratime noexec noiversion nolazytime norelatime nostrictatime nosuid nosymfollow private \
                    ratime rbind rdev rdiratime relatime remount rexec rnoatime rnodiratime rnoexec rnorelatime \
                    rnostrictatime rnosuid rnosymfollow ro rprivate rrelatime rro rrw rshared rslave rstrictatime \
                    rsuid rsymfollow runbindable rw shared silent slave strictatime suid symfollow sync tmpcopyup \
                    unbindable idmap ridmap";
        for word in spec.split_whitespace() {
            assert!(effect(word).is_some(), "{word}");
        }
        for word in ["acl", "noacl", "mode=755", "size=65536k", "gid=5", "newinstance"] {
            assert!(effect(word).is_none(), "{word}");
        }
    }

    #[test]
    fn later_word_takes_back_the_earlier_one() {
        assert_eq!(read(&["ro", "rw"]).attr, AttrChange::of(0, ATTR_RDONLY));
        assert_eq!(read(&["rw", "ro"]).attr, AttrChange::of(ATTR_RDONLY, 0));
    }

    #[test]
    fn access_times_are_settled_as_a_whole_or_kept() {
        let all = ATTR_ATIME_MASK | ATTR_NODIRATIME;
        let set = |words: &[&str], attr| assert_eq!(read(words).attr, AttrChange::of(attr, all), "{words:?}");
        set(&["noatime"], ATTR_NOATIME);
        set(&["noatime", "strictatime"], ATTR_STRICTATIME);
        set(&["strictatime", "atime"], ATTR_STRICTATIME);
        set(&["noatime", "norelatime"], ATTR_NOATIME);
        set(&["noatime", "relatime"], ATTR_NOATIME);
        set(&["relatime", "diratime"], ATTR_RELATIME);
        for words in [["nodiratime", "relatime"], ["nodiratime", "atime"]] {
            let expected = AttrChange::of(ATTR_NODIRATIME | ATTR_RELATIME, ATTR_ATIME_MASK);
            assert_eq!(read(&words).attr, expected, "{words:?}");
        }
        for words in [["atime", "diratime"], ["noatime", "atime"], ["strictatime", "nostrictatime"]] {
            let options = read(&words);
            assert!(options.attr.is_empty() && options.names_attr, "{words:?}");
        }
        assert_eq!(read(&["ratime"]).recursive_attr, AttrChange::of(0, ATTR_ATIME_MASK));
    }

    #[test]
    fn options_of_dockers_default_mounts() {
        let dev = read(&["nosuid", "strictatime", "mode=755", "size=65536k"]);
        let clear = ATTR_ATIME_MASK | ATTR_NODIRATIME;
        assert_eq!(dev.attr, AttrChange::of(ATTR_NOSUID | ATTR_STRICTATIME, clear));
        assert_eq!(dev.data, ["mode=755", "size=65536k"]);

        let volume = read(&["rbind", "ro", "rprivate"]);
        assert_eq!(volume.bind, Some(Depth::Tree));
        assert_eq!(volume.attr, AttrChange::of(ATTR_RDONLY, 0));
        assert_eq!(volume.propagation, [(Propagation::Private, Depth::Tree)]);
        assert!(volume.data.is_empty());
    }

    #[test]
    fn superblock_flags_keep_their_order() {
        assert_eq!(read(&["sync", "nomand", "dirsync"]).superblock, ["sync", "nomand", "dirsync"]);
    }

    #[test]
    fn flags_for_mount_2() {
        assert_eq!(ms_flags(ATTR_RDONLY | ATTR_NOSUID | ATTR_NODEV | ATTR_NOEXEC), 15);
        assert_eq!(ms_flags(ATTR_NOATIME | ATTR_NODIRATIME | ATTR_NOSYMFOLLOW), 1024 | 2048 | 256);
    }
}
