//! Who runs: `USER[:GROUP]` by the image's passwd and group.

use super::{oci, wrong};
use crate::error::Result;

/// The image's files. An image without them knows numbers alone.
#[derive(Clone, Debug, Default)]
pub struct Accounts {
    /// `/etc/passwd`
    pub passwd: String,
    /// `/etc/group`
    pub group: String,
}

/// A line of `/etc/passwd`, as far as it is used.
struct Passwd<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
}

/// A line of `/etc/group`.
struct Group<'a> {
    name: &'a str,
    gid: u32,
    members: &'a str,
}

impl Accounts {
    /// The user that `typed` names, in the groups that the image puts the user in and in the `added` ones.
    ///
    /// Errors: a name that the image doesn't know.
    pub fn find(&self, typed: &str, added: &[String]) -> Result<oci::User> {
        let (user, group) = typed.split_once(':').unwrap_or((typed, ""));
        let user = if user.is_empty() { "0" } else { user };
        let line = self.passwd().find(|line| line.name == user);
        let line = line.or_else(|| self.passwd().find(|line| Some(line.uid) == number(user)));
        let uid = line.as_ref().map(|line| line.uid).or_else(|| number(user));
        let uid = uid.ok_or_else(|| wrong("user", format!("{user}: no matching entries in passwd file")))?;
        let gid = match group {
            "" => line.as_ref().map_or(0, |line| line.gid),
            group => self.gid(group).map_err(|why| wrong("user", why))?,
        };
        let mut gids = vec![gid];
        // A group that is typed is the only one; else the image's count.
        if let (Some(line), "") = (&line, group) {
            let of_user = |group: &Group| group.members.split(',').any(|member| member == line.name);
            gids.extend(self.groups().filter(of_user).map(|group| group.gid));
        }
        for group in added {
            gids.push(self.gid(group).map_err(|why| wrong("group_add", why))?);
        }
        let mut seen = Vec::new();
        gids.retain(|gid| {
            !seen.contains(gid) && {
                seen.push(*gid);
                true
            }
        });
        Ok(oci::User { uid, gid, additional_gids: gids })
    }

    fn gid(&self, typed: &str) -> std::result::Result<u32, String> {
        let named = self.groups().find(|group| group.name == typed).map(|group| group.gid);
        named.or_else(|| number(typed)).ok_or_else(|| format!("{typed}: no matching entries in group file"))
    }

    fn passwd(&self) -> impl Iterator<Item = Passwd<'_>> {
        self.passwd.lines().filter_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            let uid = number(fields.nth(1)?)?;
            Some(Passwd { name, uid, gid: number(fields.next()?)? })
        })
    }

    fn groups(&self) -> impl Iterator<Item = Group<'_>> {
        self.group.lines().filter_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            let gid = number(fields.nth(1)?)?;
            Some(Group { name, gid, members: fields.next().unwrap_or_default() })
        })
    }
}

/// An id of Linux. -1 means none there.
fn number(typed: &str) -> Option<u32> {
    typed.trim().parse().ok().filter(|&id| id != u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accounts() -> Accounts {
        Accounts {
            passwd: "root:x:0:0:root:/root:/bin/sh\nwww:x:33:34::/:\nbroken\n7:x:1007:1007::/:\n".to_owned(),
            group: "root:x:0:\nwww:x:34:\nvideo:x:44:root,www\naudio:x:29:www\n".to_owned(),
        }
    }

    fn found(typed: &str, added: &[&str]) -> (u32, u32, Vec<u32>) {
        let added: Vec<String> = added.iter().map(|&group| group.to_owned()).collect();
        let user = accounts().find(typed, &added).unwrap();
        (user.uid, user.gid, user.additional_gids)
    }

    #[test]
    fn names_and_numbers_get_their_groups() {
        assert_eq!(found("", &[]), (0, 0, vec![0, 44]));
        assert_eq!(found("www", &[]), (33, 34, vec![34, 44, 29]));
        assert_eq!(found("33", &[]), (33, 34, vec![34, 44, 29]));
        assert_eq!(found("5000", &[]), (5000, 0, vec![0]));
        assert_eq!(found("5000:5001", &["video", "9"]), (5000, 5001, vec![5001, 44, 9]));
    }

    #[test]
    fn a_group_that_is_typed_is_the_only_one() {
        assert_eq!(found("www:audio", &[]), (33, 29, vec![29]));
        assert_eq!(found(":audio", &[]), (0, 29, vec![29]));
    }

    #[test]
    fn a_name_of_digits_is_a_name_first() {
        assert_eq!(found("7", &[]), (1007, 1007, vec![1007]));
    }

    #[test]
    fn an_unknown_name_is_an_error_that_says_so() {
        let err = accounts().find("nobody", &[]).unwrap_err();
        assert_eq!(err.to_string(), "user: nobody: no matching entries in passwd file");
        assert!(accounts().find("www:nobody", &[]).is_err());
        assert!(accounts().find("4294967295", &[]).is_err());
        assert!(accounts().find("www", &["nobody".to_owned()]).is_err());
    }
}
