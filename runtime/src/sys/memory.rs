//! Memory, and what happens where there is none.

use std::alloc::{GlobalAlloc, Layout};

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
