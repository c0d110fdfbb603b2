//! The runtime's own binary can't be overwritten from inside a container.
//!
//! A process that enters a container can be caught there as `/proc/PID/exe`, and a container may name `/proc/self/exe`
//! as its program: both are handles on the runtime's file (CVE-2019-5736). So a command that enters a container first
//! executes itself from a place that nobody can write to. This place is a detached overlay without an upper layer,
//! whose lower layer is the file's directory; or, where there is no overlayfs, a sealed copy in memory. Where neither
//! works, the command fails.
//!
//! A read-only bind mount of the file won't do, though it costs a start less. CAP_SYS_ADMIN can make it writable again,
//! as long as the mount belongs to a namespace. And in any case it is a handle on the host's filesystem: with
//! CAP_DAC_READ_SEARCH, open_by_handle_at opens any file there through it; with CAP_SYS_ADMIN, fspick reaches that
//! filesystem's superblock.

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

use crate::error::{Context, Errno, Error, Kind, Result, best_effort};
use crate::sys::mount::{self, MountAttr};
use crate::sys::{descriptors, file, memfd, process};

const OWN_EXE: &str = "/proc/self/exe";
/// overlayfs wants two lower layers where there is no upper layer. What the second layer holds is never looked at.
const SECOND_LAYERS: [&str; 3] = ["/run", "/tmp", "/var"];
/// The two descriptors of the sealed image stay above the numbers that callers hand down.
const LOWEST_NUMBER: RawFd = 50;
/// Callers hand down descriptors from 3 on.
const LOWEST_NUMBER_OF_ALL: RawFd = 4;
const NUMBERS_TRIED_MAX: RawFd = 4096;

/// Makes sure that this process runs from a sealed image: returns if it does, and otherwise executes a sealed image.
///
/// Errors: Denied if no sealed image can be made.
pub fn ensure() -> Result<()> {
    if runs_sealed() {
        return Ok(());
    }
    // Image and marker survive the execution, which closes the mount.
    let Image { image, marker, _mount } = make()?;
    let _number = marker.into_raw_fd();
    let words = |words: &mut dyn Iterator<Item = std::ffi::OsString>| -> Result<Vec<CString>> {
        words.map(crate::sys::c_string).collect()
    };
    let args = words(&mut std::env::args_os())?;
    let env = words(&mut std::env::vars_os().map(|(mut name, value)| {
        name.push("=");
        name.push(value);
        name
    }))?;
    match process::execute_fd(&image, &args, &env).doing("execute the sealed image")? {}
}

/// A sealed image, and at the next number the file that names it. Both are handed to what is executed from the image.
pub struct Image {
    /// The image.
    pub image: OwnedFd,
    /// What tells the process that it was executed from a sealed image.
    pub marker: OwnedFd,
    /// The overlay that the image is in. Its end waits for RCU, for which many starts at once queue.
    _mount: Option<OwnedFd>,
}

/// Makes a sealed image of this process's binary.
///
/// Errors: Denied.
pub fn make() -> Result<Image> {
    let (image, mount) = overlay_image()
        .map(|(image, mount)| (image, Some(mount)))
        .or_else(|_| memory_image().map(|image| (image, None)))
        .map_err(|err| err.with_kind(Kind::Denied).context("protect the runtime's own binary"))?;
    let [image, marker] = with_marker(image)?;
    Ok(Image { image, marker, _mount: mount })
}

/// Whether this process was executed from a sealed image: the kernel tells the number of the descriptor that it was
/// executed by, and the next number is a sealed file in memory that names the image. A caller's environment has no say
/// in it.
fn runs_sealed() -> bool {
    let Some(number) = process::executed_path()
        .and_then(|path| path.strip_prefix("/dev/fd/").and_then(|number| number.parse::<RawFd>().ok()))
        .filter(|number| *number >= LOWEST_NUMBER_OF_ALL)
    else {
        return false;
    };
    // Both descriptors are taken, so that they are closed: neither may reach the container.
    let Some([_image, marker]) = descriptors::take_handed_down([number, number + 1]) else { return false };
    memfd::is_sealed(&marker) && identity_of_own_exe().is_ok_and(|own| is_told(own, marker))
}

/// Whether the marker names this image. All processes that were executed from the image share the marker's position, so
/// it is read from its beginning, and the position stays.
fn is_told(image: Vec<u8>, marker: OwnedFd) -> bool {
    let mut told = [0; 64];
    let length = std::fs::File::from(marker).read_at(&mut told, 0).unwrap_or(0);
    told[..length] == image
}

fn identity_of_own_exe() -> Result<Vec<u8>> {
    let own = file::open_following_links(Path::new(OWN_EXE), OFlag::O_PATH)?;
    identity(&own)
}

fn identity(image: &OwnedFd) -> Result<Vec<u8>> {
    let stat = file::stat_of(image)?;
    Ok(format!("corten {}:{}", stat.st_dev, stat.st_ino).into_bytes())
}

/// A view of the binary through an overlay that has no upper layer: nothing can be written through it. The overlay is
/// the second of the two.
fn overlay_image() -> Result<(OwnedFd, OwnedFd)> {
    let path = std::fs::read_link(OWN_EXE).map_err(|err| Error::io("readlink(/proc/self/exe)", &err))?;
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Error::internal("the binary has no directory"));
    };
    let mut failure = Error::internal("no second layer");
    for second in SECOND_LAYERS.iter().map(Path::new).filter(|second| !directory.starts_with(second)) {
        match overlay(directory, second) {
            Ok(overlay) => {
                let image = file::open_at(&overlay, Path::new(name), OFlag::O_PATH)?;
                if !shows_own_exe(&image)? {
                    return Err(Error::internal("another file"));
                }
                return Ok((image, overlay));
            }
            Err(err) => failure = err,
        }
    }
    Err(failure)
}

/// Whether the overlay's file is the binary that runs. It is another file where the binary alone is a bind mount, which
/// an overlay doesn't show, or where an upgrade has replaced the binary.
fn shows_own_exe(image: &OwnedFd) -> Result<bool> {
    let own = file::stat_of(file::open_following_links(Path::new(OWN_EXE), OFlag::O_PATH)?)?;
    let shown = file::stat_of(image)?;
    // The device is the overlay's own.
    Ok((own.st_ino, own.st_size, own.st_mtime) == (shown.st_ino, shown.st_size, shown.st_mtime))
}

fn overlay(directory: &Path, second: &Path) -> Result<OwnedFd> {
    let context = mount::fsopen("overlay")?;
    let layers =
        PathBuf::from(std::ffi::OsString::from_vec([escaped(directory), escaped(second)].join(&b':')));
    mount::fsconfig_set_string(context.as_fd(), "lowerdir", &layers.to_string_lossy())?;
    // Saves a line in the kernel's log where the two layers are on different filesystems.
    let quiet = mount::fsconfig_set_string(context.as_fd(), "xino", "off");
    best_effort(quiet, "kernels before 4.17 don't know it");
    mount::fsconfig_create(context.as_fd())?;
    let attr = MountAttr::RDONLY | MountAttr::NODEV | MountAttr::NOSUID;
    mount::fsmount(context.as_fd(), attr)
}

/// overlayfs separates layers by colons.
fn escaped(path: &Path) -> Vec<u8> {
    let mut text = Vec::new();
    for byte in path.as_os_str().as_bytes() {
        if matches!(byte, b':' | b'\\') {
            text.push(b'\\');
        }
        text.push(*byte);
    }
    text
}

/// A copy of the binary in memory, sealed against every change.
fn memory_image() -> Result<OwnedFd> {
    let own = file::open_following_links(Path::new(OWN_EXE), OFlag::O_RDONLY)?;
    let image = memfd::create("corten")?;
    file::copy(&own, &image, file::stat_of(&own)?.st_size as u64)?;
    file::change_mode(&image, 0o555)?;
    memfd::seal(&image)?;
    Ok(image)
}

/// Puts the image at a number whose successor holds the marker; both survive an `execve`.
fn with_marker(image: OwnedFd) -> Result<[OwnedFd; 2]> {
    let marker = memfd::create("corten-sealed")?;
    file::write_whole(marker.as_fd(), &identity(&image)?, "memfd")?;
    memfd::seal(&marker)?;
    // Where RLIMIT_NOFILE forbids the high numbers, low numbers that the caller has left free will do.
    for lowest in [LOWEST_NUMBER, LOWEST_NUMBER_OF_ALL] {
        if let Some(sealed) = side_by_side(&image, &marker, lowest)? {
            return Ok(sealed);
        }
    }
    Err(Error::internal("no free descriptors for the sealed image").with_hint("is RLIMIT_NOFILE too low?"))
}

/// Copies both to two free numbers in a row, from `lowest` on. `None` if there are no such numbers.
fn side_by_side(image: &OwnedFd, marker: &OwnedFd, lowest: RawFd) -> Result<Option<[OwnedFd; 2]>> {
    let copy = |fd, lowest| match descriptors::duplicate_from(fd, lowest) {
        Err(err) if err.is(Errno::EINVAL) || err.is(Errno::EMFILE) => Ok(None),
        result => result.map(Some),
    };
    let mut number = lowest;
    while number < lowest + NUMBERS_TRIED_MAX {
        let Some(image) = copy(image, number)? else { return Ok(None) };
        let Some(marker) = copy(marker, image.as_raw_fd() + 1)? else { return Ok(None) };
        if marker.as_raw_fd() == image.as_raw_fd() + 1 {
            return Ok(Some([image, marker]));
        }
        number = image.as_raw_fd() + 2;
    }
    Ok(None)
}
