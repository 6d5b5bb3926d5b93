//! Pages for answers that the gateway makes itself.

use std::sync::Arc;

/// Pages of HTML by the status code that they go with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorPages(Box<[(u16, Arc<[u8]>)]>);

impl ErrorPages {
    /// These pages; of two for one status code the first. `None` if there is none.
    pub fn new(pages: impl IntoIterator<Item = (u16, Arc<[u8]>)>) -> Option<Self> {
        let mut pages: Vec<(u16, Arc<[u8]>)> = pages.into_iter().collect();
        pages.sort_by_key(|(status, _)| *status);
        pages.dedup_by_key(|(status, _)| *status);
        (!pages.is_empty()).then(|| Self(pages.into()))
    }

    /// Each status code with its page.
    pub fn iter(&self) -> impl Iterator<Item = (u16, &Arc<[u8]>)> {
        self.0.iter().map(|(status, page)| (*status, page))
    }
}
