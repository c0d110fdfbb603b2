//! The words of `mounts[].options`: one table of what each asks for, and what a list of them says in all.
//!
//! The words fall into four groups which the kernel keeps apart: attributes of the mount, flags of the filesystem's
//! superblock, propagation, and what a runtime does around the mount. An `r` before an attribute's word extends it to
//! the whole tree. A word that isn't in the table is the filesystem's own and is handed to it. `corten features` lists
//! this table.
//!
//! Source: runtime-spec config.md "Linux mount options"; mount_setattr(2); mount(8).

use crate::sys::mount::MountAttr;

/// What a bind mount loses *by habit*: attributes of its source that no option names, if any option is about an
/// attribute of the mount at all. mount(2) with MS_REMOUNT|MS_BIND did so, and containers depend on it.
///
/// The clearing is no promise, so the kernel may keep two kinds of attributes. A user namespace locks what the source
/// had when it came there (EPERM); all but NOSYMFOLLOW can be locked. And Linux before 5.14 doesn't know NOSYMFOLLOW
/// (EINVAL). What an option does name is cleared, or the mount fails.
pub const CLEARED_BY_HABIT: MountAttr = MountAttr::RDONLY
    .with(MountAttr::NOSUID)
    .with(MountAttr::NODEV)
    .with(MountAttr::NOEXEC)
    .with(MountAttr::NOSYMFOLLOW);

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
    /// Nothing: `defaults`, and words that the kernel's mount API has no flag for any more. `silent` and `loud` were
    /// about the kernel's log. A filesystem that counts versions (`iversion`) always does.
    Nothing,
}

/// An attribute that is set or cleared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// The word sets this attribute.
    Set(MountAttr),
    /// The word clears this attribute.
    Clear(MountAttr),
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
        ("atime", Attr(Clear(MountAttr::NOATIME))),
        ("bind", Bind(One)),
        ("defaults", Nothing),
        ("dev", Attr(Clear(MountAttr::NODEV))),
        ("diratime", Attr(Clear(MountAttr::NODIRATIME))),
        ("dirsync", Super("dirsync")),
        ("exec", Attr(Clear(MountAttr::NOEXEC))),
        ("idmap", IdMap(One)),
        ("iversion", Nothing),
        ("lazytime", Super("lazytime")),
        ("loud", Nothing),
        ("mand", Super("mand")),
        ("noatime", Attr(Set(MountAttr::NOATIME))),
        ("nodev", Attr(Set(MountAttr::NODEV))),
        ("nodiratime", Attr(Set(MountAttr::NODIRATIME))),
        ("noexec", Attr(Set(MountAttr::NOEXEC))),
        ("noiversion", Nothing),
        ("nolazytime", Super("nolazytime")),
        ("nomand", Super("nomand")),
        ("norelatime", Attr(Clear(MountAttr::RELATIME))),
        ("nostrictatime", Attr(Clear(MountAttr::STRICTATIME))),
        ("nosuid", Attr(Set(MountAttr::NOSUID))),
        ("nosymfollow", Attr(Set(MountAttr::NOSYMFOLLOW))),
        ("private", Effect::Propagation(Private, One)),
        ("ratime", RecursiveAttr(Clear(MountAttr::NOATIME))),
        ("rbind", Bind(Tree)),
        ("rdev", RecursiveAttr(Clear(MountAttr::NODEV))),
        ("rdiratime", RecursiveAttr(Clear(MountAttr::NODIRATIME))),
        ("relatime", Attr(Set(MountAttr::RELATIME))),
        ("remount", Remount),
        ("rexec", RecursiveAttr(Clear(MountAttr::NOEXEC))),
        ("ridmap", IdMap(Tree)),
        ("rnoatime", RecursiveAttr(Set(MountAttr::NOATIME))),
        ("rnodev", RecursiveAttr(Set(MountAttr::NODEV))),
        ("rnodiratime", RecursiveAttr(Set(MountAttr::NODIRATIME))),
        ("rnoexec", RecursiveAttr(Set(MountAttr::NOEXEC))),
        ("rnorelatime", RecursiveAttr(Clear(MountAttr::RELATIME))),
        ("rnostrictatime", RecursiveAttr(Clear(MountAttr::STRICTATIME))),
        ("rnosuid", RecursiveAttr(Set(MountAttr::NOSUID))),
        ("rnosymfollow", RecursiveAttr(Set(MountAttr::NOSYMFOLLOW))),
        ("ro", Attr(Set(MountAttr::RDONLY))),
        ("rprivate", Effect::Propagation(Private, Tree)),
        ("rrelatime", RecursiveAttr(Set(MountAttr::RELATIME))),
        ("rro", RecursiveAttr(Set(MountAttr::RDONLY))),
        ("rrw", RecursiveAttr(Clear(MountAttr::RDONLY))),
        ("rshared", Effect::Propagation(Shared, Tree)),
        ("rslave", Effect::Propagation(Slave, Tree)),
        ("rstrictatime", RecursiveAttr(Set(MountAttr::STRICTATIME))),
        ("rsuid", RecursiveAttr(Clear(MountAttr::NOSUID))),
        ("rsymfollow", RecursiveAttr(Clear(MountAttr::NOSYMFOLLOW))),
        ("runbindable", Effect::Propagation(Unbindable, Tree)),
        ("rw", Attr(Clear(MountAttr::RDONLY))),
        ("shared", Effect::Propagation(Shared, One)),
        ("silent", Nothing),
        ("slave", Effect::Propagation(Slave, One)),
        ("strictatime", Attr(Set(MountAttr::STRICTATIME))),
        ("suid", Attr(Clear(MountAttr::NOSUID))),
        ("symfollow", Attr(Clear(MountAttr::NOSYMFOLLOW))),
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
    /// Whether any word is about an attribute of this mount, even if a later word cancels it.
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
    /// The maps that stand in the same word, as in `idmap=uids=0-1-10;gids=0-1-10`.
    pub id_map_lines: Option<&'a str>,
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
                // Commas between nothing are what an empty word becomes in the text that mount(2) takes.
                None if word.chars().all(|character| character == ',') => {}
                Some(Effect::Attr(switch)) => {
                    all.names_attr = true;
                    if !access_times.turn(switch) {
                        all.attr.turn(switch);
                    }
                }
                Some(effect) => all.add(effect),
                None => all.add_text(word),
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
            Effect::IdMap(depth) => (self.id_map, self.id_map_lines) = (Some(depth), None),
            Effect::Attr(_) | Effect::Nothing => {}
        }
    }

    fn add_text(&mut self, word: &'a str) {
        match word.split_once('=').map(|(key, lines)| (effect(key), lines)) {
            Some((Some(Effect::IdMap(depth)), lines)) => {
                self.id_map = Some(depth);
                self.id_map_lines = Some(lines).filter(|lines| !lines.is_empty());
            }
            _ => self.data.push(word),
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
    pub set: MountAttr,
    /// `attr_clr`
    pub clear: MountAttr,
    /// Attributes of [`CLEARED_BY_HABIT`] that are cleared as well, as far as the kernel allows.
    pub clear_if_unlocked: MountAttr,
}

impl AttrChange {
    /// Whether nothing is asked for.
    pub fn is_empty(self) -> bool {
        self == AttrChange::default()
    }

    /// The change that sets `set` and clears `clear`.
    pub const fn of(set: MountAttr, clear: MountAttr) -> AttrChange {
        AttrChange { set, clear, clear_if_unlocked: MountAttr::NONE }
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
    fn set_atime(&mut self, attr: MountAttr) {
        self.set = self.set & !MountAttr::ATIME | attr;
        self.clear |= MountAttr::ATIME;
    }

    /// `ratime` after `rstrictatime` takes nothing back: it only says that the setting isn't `rnoatime`.
    fn clear_atime(&mut self, attr: MountAttr) {
        let nothing_said = !self.clear.intersects(MountAttr::ATIME);
        if nothing_said || self.set & MountAttr::ATIME == attr {
            self.set_atime(MountAttr::RELATIME);
        }
    }
}

/// The words about access times that stand in the end. Callers of runc have got used to mount(2)'s rules for them.
/// Without any such word, the mount keeps its setting. With any, the setting is made anew: `strictatime` if it is among
/// them, else `noatime`, else `relatime`.
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
            MountAttr::NOATIME => &mut self.noatime,
            MountAttr::NODIRATIME => &mut self.nodiratime,
            MountAttr::RELATIME => &mut self.relatime,
            MountAttr::STRICTATIME => &mut self.strictatime,
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
            (true, _) => MountAttr::STRICTATIME,
            (_, true) => MountAttr::NOATIME,
            _ => MountAttr::RELATIME,
        };
        attr.clear |= MountAttr::ATIME;
        if nodiratime {
            attr.set |= MountAttr::NODIRATIME;
        } else {
            attr.clear |= MountAttr::NODIRATIME;
        }
    }
}

fn is_atime(attr: MountAttr) -> bool {
    MountAttr::ATIME.contains(attr)
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
        assert_eq!(read(&["ro", "rw"]).attr, AttrChange::of(MountAttr::NONE, MountAttr::RDONLY));
        assert_eq!(read(&["rw", "ro"]).attr, AttrChange::of(MountAttr::RDONLY, MountAttr::NONE));
    }

    #[test]
    fn access_times_are_settled_as_a_whole_or_kept() {
        let all = MountAttr::ATIME | MountAttr::NODIRATIME;
        let set = |words: &[&str], attr| assert_eq!(read(words).attr, AttrChange::of(attr, all), "{words:?}");
        set(&["noatime"], MountAttr::NOATIME);
        set(&["noatime", "strictatime"], MountAttr::STRICTATIME);
        set(&["strictatime", "atime"], MountAttr::STRICTATIME);
        set(&["noatime", "norelatime"], MountAttr::NOATIME);
        set(&["noatime", "relatime"], MountAttr::NOATIME);
        set(&["relatime", "diratime"], MountAttr::RELATIME);
        for words in [["nodiratime", "relatime"], ["nodiratime", "atime"]] {
            let expected = AttrChange::of(MountAttr::NODIRATIME | MountAttr::RELATIME, MountAttr::ATIME);
            assert_eq!(read(&words).attr, expected, "{words:?}");
        }
        for words in [["atime", "diratime"], ["noatime", "atime"], ["strictatime", "nostrictatime"]] {
            let options = read(&words);
            assert!(options.attr.is_empty() && options.names_attr, "{words:?}");
        }
        assert_eq!(read(&["ratime"]).recursive_attr, AttrChange::of(MountAttr::NONE, MountAttr::ATIME));
    }

    #[test]
    fn options_of_dockers_default_mounts() {
        let dev = read(&["nosuid", "strictatime", "mode=755", "size=65536k"]);
        let clear = MountAttr::ATIME | MountAttr::NODIRATIME;
        assert_eq!(dev.attr, AttrChange::of(MountAttr::NOSUID | MountAttr::STRICTATIME, clear));
        assert_eq!(dev.data, ["mode=755", "size=65536k"]);

        let volume = read(&["rbind", "ro", "rprivate"]);
        assert_eq!(volume.bind, Some(Depth::Tree));
        assert_eq!(volume.attr, AttrChange::of(MountAttr::RDONLY, MountAttr::NONE));
        assert_eq!(volume.propagation, [(Propagation::Private, Depth::Tree)]);
        assert!(volume.data.is_empty());
    }

    #[test]
    fn empty_words_fall_away_and_several_in_one_stay_together() {
        assert_eq!(read(&["", "a,b", ",,", "", "c=\"d,e\""]).data, ["a,b", "c=\"d,e\""]);
    }

    #[test]
    fn maps_may_stand_in_the_word_that_asks_for_them() {
        let options = read(&["rbind", "ridmap=uids=0-1-2;gids=0-1-2"]);
        assert_eq!(
            (options.id_map, options.id_map_lines),
            (Some(Depth::Tree), Some("uids=0-1-2;gids=0-1-2"))
        );
        let options = read(&["idmap="]);
        assert_eq!((options.id_map, options.id_map_lines), (Some(Depth::One), None));
        assert_eq!(read(&["ro=1", "uid=0"]).data, ["ro=1", "uid=0"]);
    }

    #[test]
    fn superblock_flags_keep_their_order() {
        assert_eq!(read(&["sync", "nomand", "dirsync"]).superblock, ["sync", "nomand", "dirsync"]);
    }
}
