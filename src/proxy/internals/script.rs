//! Bytes read as choices.

/// Takes choices from bytes; all are 0 after the last.
#[derive(Debug)]
pub(super) struct Script<'a>(pub(super) &'a [u8]);

impl Script<'_> {
    /// The next choice below `limit`.
    pub(super) fn below(&mut self, limit: usize) -> usize {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        usize::from(*first) % limit.max(1)
    }

    pub(super) fn is_over(&self) -> bool {
        self.0.is_empty()
    }
}
