//! Memory that the kernel is told the address of.

use std::ptr::NonNull;

/// A slice on the heap that stays where it is, and to which pointers may be kept beside the references lent out.
///
/// A `Box` promises to be the only way to its contents, so pointers taken from it end when it moves or is borrowed
/// again; here every reference and every pointer comes from the same raw one.
pub(super) struct Fixed<T>(NonNull<[T]>);

// SAFETY: it owns its contents, as `Box<[T]>` does.
unsafe impl<T: Send> Send for Fixed<T> {}

impl<T: Clone> Fixed<T> {
    pub(super) fn new(value: T, len: usize) -> Self {
        let contents = Box::leak(vec![value; len].into_boxed_slice());
        Self(NonNull::from(contents))
    }
}

impl Fixed<u8> {
    /// Zeroes, in memory that takes no room before it is used: the allocator gets pages of zeroes from the system.
    pub(super) fn zeroed(len: usize) -> Self {
        Self::new(0, len)
    }
}

impl<T> Fixed<T> {
    /// A pointer to the element at `at`, good for as long as the whole is.
    #[cfg(any(test, all(target_os = "linux", not(portable))))]
    pub(super) fn pointer(&self, at: usize) -> *mut T {
        assert!(at < self.0.len());
        // SAFETY: the element is within the slice.
        unsafe { self.0.as_ptr().cast::<T>().add(at) }
    }

    pub(super) fn get(&self) -> &[T] {
        // SAFETY: the contents live as long as `self`, and whoever writes through a pointer borrows `self` mutably.
        unsafe { self.0.as_ref() }
    }

    pub(super) fn get_mut(&mut self) -> &mut [T] {
        // SAFETY: as above.
        unsafe { self.0.as_mut() }
    }
}

impl<T> Drop for Fixed<T> {
    fn drop(&mut self) {
        // SAFETY: the pointer comes from `Box::leak`, and is given back once.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_and_references_lead_to_the_same_place() {
        let mut fixed = Fixed::new(1, 3);
        let pointer = fixed.pointer(2);
        fixed.get_mut()[2] = 5;
        let moved = fixed;
        assert_eq!(moved.get(), [1, 1, 5]);
        assert_eq!(moved.pointer(2), pointer);
    }
}
