//! How a listener speaks TLS, which may change while it listens.

use std::sync::Arc;

use parking_lot::Mutex;
#[cfg(feature = "tls")]
use rustls::ServerConfig;

use crate::error::Result;
use crate::tls::ServerTls;
use crate::transport::Transport;

#[cfg(not(feature = "tls"))]
type ServerConfig = std::convert::Infallible;

/// What was chosen, and what was made of it.
pub(super) struct Secure {
    tls: Mutex<ServerTls>,
    config: Mutex<Arc<ServerConfig>>,
}

impl Secure {
    pub fn new(tls: &ServerTls) -> Result<Self> {
        Ok(Secure {
            config: Mutex::new(tls.config()?),
            tls: Mutex::new(tls.clone()),
        })
    }

    /// Reads the files anew.
    pub fn reload(&self) -> Result<()> {
        let tls = self.tls.lock();
        *self.config.lock() = tls.config()?;
        Ok(())
    }

    pub fn replace(&self, new: ServerTls) -> Result<()> {
        let mut tls = self.tls.lock();
        *self.config.lock() = new.config()?;
        *tls = new;
        Ok(())
    }

    /// A session over a transport, from which the client's `greeting` has been received.
    #[cfg(feature = "tls")]
    pub fn session(
        &self,
        transport: Box<dyn Transport>,
        greeting: &[u8],
    ) -> std::io::Result<Box<dyn Transport>> {
        let config = self.config.lock().clone();
        let session = crate::transport::tls::Tls::server(transport, config, greeting)?;
        Ok(Box::new(session))
    }

    #[cfg(not(feature = "tls"))]
    pub fn session(&self, _: Box<dyn Transport>, _: &[u8]) -> std::io::Result<Box<dyn Transport>> {
        match **self.config.lock() {}
    }
}
