//! Entries in pages of a fixed size: no page ever moves, so that memory grows by one page and not by
//! doubling, and what is freed is used again.

const PAGE: usize = 256;

/// Entries by number.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    pages: Vec<Box<[T]>>,
    free: Vec<u32>,
    len: usize,
}

impl<T> Slab<T> {
    pub(crate) fn new() -> Self {
        Self {
            pages: Vec::new(),
            free: Vec::new(),
            len: 0,
        }
    }

    /// Puts an entry where one was freed, or into a new page if `grow`; gives it back when there is
    /// no room.
    pub(crate) fn insert(&mut self, entry: T, grow: bool) -> Result<u32, T>
    where
        T: Default,
    {
        if self.free.is_empty() && grow {
            let first = u32::try_from(self.pages.len() * PAGE).unwrap_or(u32::MAX);
            let Some(end) = first.checked_add(u32::try_from(PAGE).unwrap_or(u32::MAX)) else {
                return Err(entry);
            };
            self.pages.push((0..PAGE).map(|_| T::default()).collect());
            self.free.extend((first..end).rev());
        }
        let Some(index) = self.free.pop() else {
            return Err(entry);
        };
        *self.get_mut(index) = entry;
        self.len += 1;
        Ok(index)
    }

    pub(crate) fn remove(&mut self, index: u32) -> T
    where
        T: Default,
    {
        self.free.push(index);
        self.len -= 1;
        std::mem::take(self.get_mut(index))
    }

    pub(crate) fn get(&self, index: u32) -> &T {
        let index = index as usize;
        &self.pages[index / PAGE][index % PAGE]
    }

    pub(crate) fn get_mut(&mut self, index: u32) -> &mut T {
        let index = index as usize;
        &mut self.pages[index / PAGE][index % PAGE]
    }

    /// Entries that need no page.
    pub(crate) fn free(&self) -> usize {
        self.free.len()
    }

    /// Entries in use.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Numbers that entries have or had.
    pub(crate) fn numbers(&self) -> std::ops::Range<u32> {
        0..u32::try_from(self.pages.len() * PAGE).unwrap_or(u32::MAX)
    }

    /// Memory of all pages, and of the list of what is free.
    pub(crate) fn bytes(&self) -> usize {
        self.pages.len() * Self::page_bytes()
    }

    /// Memory that one more page takes.
    pub(crate) const fn page_bytes() -> usize {
        PAGE * (size_of::<T>() + size_of::<u32>())
    }
}
