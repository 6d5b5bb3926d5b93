//! Pages for answers that the gateway makes itself, ready to be sent.

use bytes::Bytes;

/// Pages by status code. A gateway has few.
#[derive(Debug)]
pub(crate) struct ErrorPages(Box<[(u16, Bytes)]>);

impl ErrorPages {
    /// Shares what the model has.
    pub(crate) fn of(model: &tidegate_model::ErrorPages) -> Self {
        Self(model.iter().map(|(status, page)| (status, Bytes::from_owner(page.clone()))).collect())
    }

    /// The page that goes with a status code.
    pub(crate) fn get(&self, status: u16) -> Option<&Bytes> {
        self.0.iter().find(|(its, _)| *its == status).map(|(_, page)| page)
    }
}
