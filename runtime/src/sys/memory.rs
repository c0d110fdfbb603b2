//! Memory: what happens where there is none, and the words that a process was executed with.

use std::alloc::{GlobalAlloc, Layout};
use std::fs::File;
use std::io::Read;
use std::ops::Range;

use super::namespace::InChild;
use crate::error::{Error, Result};

/// An allocator that ends the program with one line where memory has run out. The line of the standard library has
/// others after it, as RUST_BACKTRACE wants, and ends by SIGABRT.
pub struct OrOneLine<A>(
    /// The allocator that has the memory.
    pub A,
);

// SAFETY: every call goes to `A` as it came, and what `A` gives is returned as it is, but for null.
unsafe impl<A: GlobalAlloc> GlobalAlloc for OrOneLine<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises of `layout`.
        or_one_line(unsafe { self.0.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises of `layout`.
        or_one_line(unsafe { self.0.alloc_zeroed(layout) })
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as the caller promises of all three.
        or_one_line(unsafe { self.0.realloc(pointer, layout, size) })
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises of both.
        unsafe { self.0.dealloc(pointer, layout) }
    }
}

fn or_one_line(memory: *mut u8) -> *mut u8 {
    if memory.is_null() {
        out_of_memory();
    }
    memory
}

#[cold]
fn out_of_memory() -> ! {
    const LINE: &str = "corten: out of memory\n";
    // SAFETY: the kernel reads the constant during the call. If the write fails, the process ends all the same.
    unsafe { libc::write(libc::STDERR_FILENO, LINE.as_ptr().cast(), LINE.len()) };
    super::process::exit_now(255)
}

/// Overwrites the arguments and the environment that this process was executed with, by `words` and zeros. The kernel
/// shows that memory to others: the arguments to everybody, as `/proc/PID/cmdline`.
///
/// A forked child alone may do so: the memory is a copy, and nothing that its parent wants. From here on `std::env`
/// finds no variable. The kernel is asked where the memory is: a program around the library may have moved it, and
/// what the C library points to may be on the heap.
///
/// Source: proc_pid_stat(5), proc_pid_cmdline(5).
pub fn overwrite_words(_child: &InChild, words: &[&str]) -> Result<()> {
    let (arguments, environment) = places_of_words()?;
    let text: Vec<u8> = words.iter().flat_map(|word| [word.as_bytes(), b"\0"]).flatten().copied().collect();
    overwrite(&arguments, &text);
    overwrite(&environment, b"");
    Ok(())
}

/// Where the kernel finds the arguments and the environment of this process.
fn places_of_words() -> Result<(Range<usize>, Range<usize>)> {
    let mut text = [0; 2048];
    let read = File::open(OWN_STAT).and_then(|mut file| file.read(&mut text));
    let length = read.map_err(|err| Error::io(format!("read({OWN_STAT})"), &err))?;
    places_in(&text[..length])
        .ok_or_else(|| Error::internal(format!("read({OWN_STAT}): not the text of a process")))
}

const OWN_STAT: &str = "/proc/self/stat";

/// Fields 48 to 51. The second field, the process's name, may hold anything; the last `)` ends it.
fn places_in(stat: &[u8]) -> Option<(Range<usize>, Range<usize>)> {
    let name_end = stat.iter().rposition(|byte| *byte == b')')?;
    let text = std::str::from_utf8(&stat[name_end + 1..]).ok()?;
    let mut fields = text.split_whitespace().skip(48 - 3).map_while(|field| field.parse().ok());
    let mut place = || Some(fields.next()?..fields.next()?);
    Some((place()?, place()?))
}

/// Writes as much of `text` as there is place for, and zeros after it. The last byte is a zero.
fn overwrite(place: &Range<usize>, text: &[u8]) {
    let start = place.start as *mut u8;
    let shown = text.len().min(place.len().saturating_sub(1));
    // SAFETY: the kernel named this memory as that of this process's arguments or environment, which it copied there at
    // execve, writable, and to which no reference is kept: `std::env` copies what it gives. `shown` bytes fit, as both
    // lengths are those of their slices. The caller is a forked child with one thread.
    unsafe {
        std::ptr::write_bytes(start, 0, place.len());
        std::ptr::copy_nonoverlapping(text.as_ptr(), start, shown);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::namespace::{Forked, clone3};
    use crate::sys::process::{Ended, SingleThreaded, exit_now, wait};

    #[test]
    fn words_are_found_behind_an_awkward_name() {
        let fields: String = (3..=52).map(|number| format!(" {}", number * 100)).collect();
        let stat = format!("42 (a) R 1){fields}\n");
        assert_eq!(places_in(stat.as_bytes()), Some((4800..4900, 5000..5100)));
        assert_eq!(places_in(b"42 (sh) S 1 42"), None);
    }

    #[test]
    fn a_child_shows_other_words_than_its_parent() {
        let own = std::fs::read("/proc/self/cmdline").unwrap();
        let sees = |file: &str, expected: &[u8]| {
            let mut text = [1; 4096];
            let length = File::open(file).and_then(|mut file| file.read(&mut text)).unwrap_or(0);
            let (shown, rest) = text[..length].split_at(expected.len().min(length));
            shown == expected && rest.iter().all(|byte| *byte == 0)
        };
        match clone3(&SingleThreaded::pretended(), 0, None, false).unwrap() {
            Forked::Child(child) => {
                let done = overwrite_words(&child, &["a", "b"]).is_ok();
                let right = sees("/proc/self/cmdline", b"a\0b\0") && sees("/proc/self/environ", b"");
                exit_now(i32::from(!(done && right)))
            }
            Forked::Parent { pid, .. } => assert_eq!(wait(pid).unwrap(), Ended::Exited(0)),
        }
        assert_eq!(std::fs::read("/proc/self/cmdline").unwrap(), own);
    }
}
