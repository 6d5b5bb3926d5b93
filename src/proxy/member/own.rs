//! Connections to members that one client's connection has for itself: what a member knows of a
//! connection, such as who was authenticated on it (NTLM, Negotiate), is true of this client alone.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::core::Core;
use crate::member::connect::{ConnectError, Name};
use crate::member::{Connection, Member};

/// They end with the client's connection. Nothing is allocated unless there are any.
#[derive(Debug, Default)]
pub(crate) struct Own(Mutex<Vec<(Arc<Member>, Connection)>>);

impl Own {
    /// One to this member that waits and lives, else a new one.
    pub(crate) async fn obtain(
        &self,
        member: &Arc<Member>,
        core: &Arc<Core>,
        name: Name,
        fresh: bool,
    ) -> Result<Connection, ConnectError> {
        while !fresh && let Some(mut connection) = self.take(member, &name) {
            if connection.wake() && connection.ready().await {
                connection.reused = true;
                return Ok(connection);
            }
        }
        member.connect(core, name, false).await
    }

    fn take(&self, member: &Arc<Member>, name: &Name) -> Option<Connection> {
        let mut all = self.0.lock();
        let fits = |(its, connection): &(Arc<Member>, Connection)| {
            Arc::ptr_eq(its, member) && connection.name == *name
        };
        let place = all.iter().rposition(fits)?;
        Some(all.remove(place).1)
    }

    /// Keeps one whose response was read to its end, for as long as the client stays.
    pub(crate) fn put(&self, member: Arc<Member>, connection: Connection) {
        let mut all = self.0.lock();
        all.retain(|(_, connection)| !connection.is_closed());
        if !connection.is_closed() && !member.scope.has_left() {
            all.push((member, connection));
        }
    }

    /// The member of the last one that waits.
    pub(crate) fn last(&self) -> Option<Arc<Member>> {
        Some(self.0.lock().last()?.0.clone())
    }
}
