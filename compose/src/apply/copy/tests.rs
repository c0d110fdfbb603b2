//! The rules of Docker's `cp`, by two trees in a directory for tests.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use super::*;

/// A directory with the tree of a container in `c`, and one of the host's in `h`. It goes with this value.
struct World(PathBuf);

impl World {
    fn new(name: &str) -> World {
        let dir = std::env::temp_dir().join(format!("corten-copy-{}-{name}", std::process::id()));
        for path in ["c/dir/sub", "c/etc", "h/dir/sub", "h/there"] {
            fs::create_dir_all(dir.join(path)).expect("a directory");
        }
        for (path, text) in
            [("c/dir/sub/f", "in"), ("c/file", "file"), ("h/dir/sub/f", "out"), ("h/secret", "s")]
        {
            fs::write(dir.join(path), text).expect("a file");
        }
        World(dir)
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.join(path)
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_default()
    }

    fn host(&self, path: &str) -> Host {
        Host::Path(format!("{}/h/{path}", self.0.display()))
    }

    fn copy(&self, copying: &Copying, follow: bool) -> Result<u64, String> {
        let tree = Tree::at(&self.path("c")).expect("a tree");
        let how = How { follow, owners: Owners::Kept };
        copy(&tree, "web", copying, how).map_err(|err| err.to_string())
    }

    fn out(&self, from: &str, to: &str) -> Result<u64, String> {
        self.copy(&Copying::Out { from: from.to_owned(), to: self.host(to) }, false)
    }

    fn enter(&self, from: &str, to: &str) -> Result<u64, String> {
        self.copy(&Copying::In { from: self.host(from), to: to.to_owned() }, false)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

#[test]
fn a_file_goes_by_its_own_name_or_by_a_new_one() {
    let world = World::new("file");
    assert_eq!(world.out("/file", "new"), Ok(4));
    assert_eq!(world.read("h/new"), "file");
    world.out("file", "there").expect("into a directory");
    assert_eq!(world.read("h/there/file"), "file");
    world.out("/file", "secret").expect("over a file");
    assert_eq!(world.read("h/secret"), "file");
    assert_eq!(world.out("/file", "nope/"), Err("no such directory".to_owned()));
    let no_parent = world.out("/file", "nope/x").expect_err("no parent");
    assert!(no_parent.starts_with("invalid output path: directory"), "{no_parent}");
    assert_eq!(world.out("/nope", "x"), Err("Could not find the file /nope in container web".to_owned()));
    assert_eq!(world.enter("dir", "/no/x"), Err("Could not find the file /no in container web".to_owned()));
    assert!(world.enter("nope", "/x").expect_err("no source").ends_with("no such file or directory"));
    assert_eq!(
        world.enter("secret/", "/x").expect_err("a file"),
        format!("{}/h/secret/: not a directory", world.0.display())
    );
}

#[test]
fn a_directory_becomes_another_or_goes_into_one() {
    let world = World::new("directory");
    fs::set_permissions(world.path("h/dir"), fs::Permissions::from_mode(0o2751)).expect("permissions");
    world.enter("dir", "/new").expect("a new name");
    assert_eq!(world.read("c/new/sub/f"), "out");
    let [from, to] = ["h/dir", "c/new"].map(|path| fs::metadata(world.path(path)).expect("it is there"));
    assert_eq!((from.mode(), from.mtime_nsec()), (to.mode(), to.mtime_nsec()));
    world.enter("dir", "/etc").expect("into a directory");
    assert_eq!(world.read("c/etc/dir/sub/f"), "out");
    world.enter("dir/.", "/etc").expect("its content");
    assert_eq!(world.read("c/etc/sub/f"), "out");
    assert_eq!(world.enter("dir", "/file"), Err("cannot copy directory".to_owned()));
    assert!(world.enter("secret", "/etc/sub").is_ok());
    fs::write(world.path("h/sub"), "a file").expect("a file");
    let over = world.enter("sub", "/etc").expect_err("a directory is there");
    assert_eq!(over, "cannot overwrite directory \"sub\" with non-directory");
}

#[test]
fn a_containers_links_lead_nowhere_else() {
    let world = World::new("links");
    let secret = world.path("h/secret");
    symlink(&secret, world.path("c/absolute")).expect("a link");
    symlink("../../../h/there", world.path("c/up")).expect("a link");
    symlink("/file", world.path("c/own")).expect("a link");
    symlink("loop", world.path("c/loop")).expect("a link");
    // A link that is the source is copied as it is, and followed within the container if that is asked for.
    world.out("/absolute", "l").expect("the link");
    assert_eq!(fs::read_link(world.path("h/l")).expect("a link"), secret);
    let followed = Copying::Out { from: "/own".to_owned(), to: world.host("there") };
    world.copy(&followed, true).expect("followed");
    assert_eq!(world.read("h/there/own"), "file");
    let outside = Copying::Out { from: "/absolute".to_owned(), to: world.host("x") };
    assert!(world.copy(&outside, true).expect_err("not in the container").starts_with("Could not find"));
    assert!(world.out("/loop/x", "x").is_err());
    // A link that is the destination leads to a place in the container, or to none.
    assert!(world.enter("dir/sub/f", "/absolute").is_err());
    assert!(world.enter("dir/sub/f", "/up/x").is_err());
    assert_eq!(world.read("h/secret"), "s");
    assert!(!world.path("h/there/x").exists());
    world.enter("dir/sub/f", "/own").expect("a link to a file");
    assert_eq!(world.read("c/file"), "out");
    // What is below a directory that is copied follows none of the host's links.
    fs::create_dir_all(world.path("c/tree/sub")).expect("a directory");
    symlink(world.path("h/there"), world.path("h/dir/tree")).expect("a link");
    let over = world.out("/tree", "dir").expect_err("a link is there");
    assert_eq!(over, "cannot overwrite non-directory \"tree\" with directory");
}

#[test]
fn names_of_one_file_stay_names_of_one_file() {
    let world = World::new("names");
    fs::hard_link(world.path("c/dir/sub/f"), world.path("c/dir/g")).expect("a link");
    assert_eq!(world.out("/dir", "copied"), Ok(2));
    let inode = |path: &str| fs::metadata(world.path(path)).expect("it is there").ino();
    assert_eq!(inode("h/copied/g"), inode("h/copied/sub/f"));
}

#[test]
fn typed_paths_are_clean_and_say_what_they_mean() {
    let of = |text: &'static str| {
        let typed = Typed::of(text, Path::new("/here"));
        (typed.path.display().to_string(), typed.is_dir, typed.is_content)
    };
    let meant = |path: &str, is_dir, is_content| (path.to_owned(), is_dir, is_content);
    assert_eq!(of("a//b/../c"), meant("/here/a/c", false, false));
    assert_eq!(of("/a/"), meant("/a", true, false));
    assert_eq!(of("a/."), meant("/here/a", true, true));
    assert_eq!(of("../../.."), meant("/", false, false));
    assert_eq!(of(""), meant("/here", true, true));
}

#[test]
fn what_the_kernel_makes_up_is_read_to_its_end_and_its_directories_are_not_entered() {
    let world = World::new("kernel");
    let at_root = Tree::at(Path::new("/")).expect("the root");
    let how = How { follow: false, owners: Owners::Caller };
    let out = |from: &str, to: &str| {
        let copying = Copying::Out { from: from.to_owned(), to: world.host(to) };
        copy(&at_root, "web", &copying, how).map_err(|err| err.to_string())
    };
    let bytes = out("/proc/self/limits", "limits").expect("a file");
    let copied = world.read("h/limits");
    assert!(copied.starts_with("Limit") && copied.ends_with('\n') && bytes == copied.len() as u64);
    let refused = out("/proc/self/ns", "ns").expect_err("the kernel's");
    assert_eq!(refused, "what the kernel shows in that directory can't be copied");
}
