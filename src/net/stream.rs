//! TCP and TLS: accepting connections, and one task for each.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf, ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::spawn_local;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{debug, warn};

use super::connections::Place;
use super::worker::{StreamSettings, Worker, read_with_scratch, stream_link};
use super::{Listener, ListenerTransport};
use crate::turn::{ClientAddr, FiveTuple, Flow, Transport};
use crate::wire::stream::{Frame, MAX_FRAME, next_frame};
use crate::wire::{Kind, classify};

/// How long what waits may take to be written once the client has closed its side.
const LINGER: Duration = Duration::from_secs(5);
/// Pause after the system refused a connection, say for want of descriptors: the listener stays readable meanwhile.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long a connection may take nothing of what waits, before its client is given up. The kernel takes more once a
/// third of its buffer is free, so a client on a slow line shows progress in jumps.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// What a connection may send in all before it has an allocation, and in one message.
const MAX_BEFORE_ALLOCATION: usize = 64 * 1024;
const MAX_MESSAGE_BEFORE_ALLOCATION: usize = 4096;
/// Buffers above this size are given back when they are empty.
const KEEP: usize = 16 * 1024;

/// Accepts connections for as long as the worker runs.
pub(super) async fn accept(
    worker: Rc<RefCell<Worker>>,
    listener: Listener,
    socket: std::net::TcpListener,
    settings: StreamSettings,
) {
    let socket = match TcpListener::from_std(socket) {
        Ok(socket) => socket,
        Err(error) => return warn!(%error, "cannot accept connections"),
    };
    loop {
        let (stream, client) = match socket.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        if !worker
            .borrow_mut()
            .accepts
            .allow(client.ip(), std::time::Instant::now())
        {
            debug!("connection refused: too many from this address in a short time");
            continue;
        }
        // Without a place it is closed at once.
        let Some(place) = settings.connections.admit(client.ip()) else {
            debug!("connection refused: limit reached");
            continue;
        };
        let (worker, settings) = (Rc::clone(&worker), settings.clone());
        spawn_local(async move {
            let ended = serve_connection(worker, listener, stream, client, &settings).await;
            if let Err(error) = ended {
                debug!(%error, transport = ?listener.transport, "connection ended");
            }
            hold(place);
        });
    }
}

/// Keeps a connection's place until here.
fn hold(_place: Place) {}

async fn serve_connection(
    worker: Rc<RefCell<Worker>>,
    listener: Listener,
    stream: TcpStream,
    client: SocketAddr,
    settings: &StreamSettings,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let server = stream.local_addr()?;
    let connection = |transport| {
        let five_tuple = FiveTuple {
            transport,
            client: ClientAddr(client),
            server,
        };
        Connection::new(worker, five_tuple, settings)
    };
    if listener.transport != ListenerTransport::Tls {
        return connection(Transport::Tcp).serve(stream).await;
    }
    // Never in the clear: a listener for TLS does not open without a certificate.
    let Some(acceptor) = &settings.tls else {
        return Err(io::Error::other("no certificate"));
    };
    let accepted = timeout(settings.handshake_timeout, acceptor.accept(stream)).await;
    let stream = accepted.map_err(|_| io::Error::other("TLS handshake timed out"))??;
    connection(Transport::Tls).serve(stream).await
}

/// One connection of a client, from its first message to its last.
struct Connection {
    worker: Rc<RefCell<Worker>>,
    flow: Flow,
    place: usize,
    writable: Arc<Notify>,
    /// Set once nothing more will be read.
    closing: Cell<bool>,
    idle_timeout: Duration,
}

/// How much a read brought.
enum Read {
    /// The end of the stream.
    End,
    /// All there was.
    All,
    /// As much as there was room for: there may be more.
    Full,
}

/// What has been read of a connection and not handled.
struct Reading {
    /// The beginning of a message.
    partial: Vec<u8>,
    /// When the last message was whole.
    last_message: Instant,
    /// Whether there ever was an allocation.
    has_allocated: bool,
    /// Bytes received before there was one.
    before_allocation: usize,
}

impl Connection {
    fn new(worker: Rc<RefCell<Worker>>, five_tuple: FiveTuple, settings: &StreamSettings) -> Self {
        let (place, writable) = worker.borrow_mut().streams.insert();
        Self {
            worker,
            flow: Flow {
                five_tuple,
                link: stream_link(place),
            },
            place,
            writable,
            closing: Cell::new(false),
            idle_timeout: settings.idle_timeout,
        }
    }

    /// Reads and writes until either side has ended; what waits is still written when the client has closed.
    async fn serve<S: AsyncRead + AsyncWrite>(self, stream: S) -> io::Result<()> {
        let (reader, writer) = tokio::io::split(stream);
        let mut writing = pin!(self.write(writer));
        let read = tokio::select! {
            written = &mut writing => return written,
            read = self.read(reader) => read,
        };
        self.worker.borrow_mut().handle_disconnected(self.flow);
        self.closing.set(true);
        self.writable.notify_one();
        let _ = timeout(LINGER, writing).await;
        read
    }

    async fn read<S: AsyncRead>(&self, reader: ReadHalf<S>) -> io::Result<()> {
        let mut reader = pin!(reader);
        let mut reading = Reading {
            partial: Vec::new(),
            last_message: Instant::now(),
            has_allocated: false,
            before_allocation: 0,
        };
        loop {
            let idle = reading.last_message + self.idle_timeout;
            tokio::select! {
                more = read_with_scratch(&self.worker, |context, worker, scratch| {
                    self.poll_read(context, worker, scratch, reader.as_mut(), &mut reading)
                }) => {
                    match more? {
                        Read::End => return Ok(()),
                        Read::All => {}
                        // However fast this client sends, the others have their turn.
                        Read::Full => tokio::task::yield_now().await,
                    }
                }
                () = sleep_until(idle) => self.check_idle(&mut reading)?,
            }
        }
    }

    /// Reads once and handles every whole message.
    fn poll_read<R: AsyncRead>(
        &self,
        context: &mut Context<'_>,
        worker: &mut Worker,
        scratch: &mut [u8],
        reader: Pin<&mut R>,
        reading: &mut Reading,
    ) -> Poll<io::Result<Read>> {
        let mut buffer = ReadBuf::new(scratch);
        match reader.poll_read(context, &mut buffer) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) if buffer.filled().is_empty() => return Poll::Ready(Ok(Read::End)),
            Poll::Ready(Ok(())) => {}
        }
        let read = if buffer.remaining() == 0 {
            Read::Full
        } else {
            Read::All
        };
        Poll::Ready(self.handle(worker, buffer.filled(), reading).map(|()| read))
    }

    fn handle(
        &self,
        worker: &mut Worker,
        received: &[u8],
        reading: &mut Reading,
    ) -> io::Result<()> {
        let garbage = || io::Error::other("neither STUN nor ChannelData");
        if reading.partial.is_empty() {
            self.check_first_byte(received, reading)?;
            let handled = worker
                .handle_stream(self.flow, received)
                .ok_or_else(garbage)?;
            reading.handled(handled);
            reading.partial.extend_from_slice(&received[handled..]);
        } else {
            reading.partial.extend_from_slice(received);
            let handled = worker
                .handle_stream(self.flow, &reading.partial)
                .ok_or_else(garbage)?;
            reading.handled(handled);
            reading.partial.drain(..handled);
            if reading.partial.is_empty() && reading.partial.capacity() > KEEP {
                reading.partial = Vec::new();
            }
        }
        debug_assert!(reading.partial.len() < MAX_FRAME);
        reading.has_allocated |= worker.server.has_allocation(&self.flow.five_tuple);
        reading.check_stranger(received.len())
    }

    /// Gives up a connection that begins with ChannelData: HTTP does, as `G` and `P` are such bytes.
    fn check_first_byte(&self, received: &[u8], reading: &Reading) -> io::Result<()> {
        if !reading.has_allocated && classify(received) == Some(Kind::ChannelData) {
            return Err(io::Error::other("does not begin with STUN"));
        }
        Ok(())
    }

    /// A connection may be silent while it has an allocation, and for a while besides.
    fn check_idle(&self, reading: &mut Reading) -> io::Result<()> {
        if self
            .worker
            .borrow()
            .server
            .has_allocation(&self.flow.five_tuple)
        {
            reading.last_message = Instant::now();
            return Ok(());
        }
        Err(io::Error::other("no allocation, and silent for too long"))
    }

    async fn write<S: AsyncWrite>(&self, writer: WriteHalf<S>) -> io::Result<()> {
        let mut writer = pin!(writer);
        let mut buffer = Vec::new();
        loop {
            let taken = self
                .worker
                .borrow_mut()
                .streams
                .take(self.place, &mut buffer);
            if taken.is_err() {
                return Err(io::Error::other("the client does not read"));
            }
            if buffer.is_empty() {
                if self.closing.get() {
                    return writer.shutdown().await;
                }
                buffer.shrink_to(KEEP);
                self.writable.notified().await;
            } else {
                self.write_messages(&mut writer, &buffer).await?;
            }
        }
    }

    /// Writes whole messages: in one go, but over TLS each in a record of its own.
    ///
    /// A stream has no boundaries, and most clients look for none. `turnutils_uclient` takes what one record holds for
    /// one message, and loses the rest.
    async fn write_messages<W: AsyncWrite + Unpin>(
        &self,
        writer: &mut W,
        messages: &[u8],
    ) -> io::Result<()> {
        if self.flow.five_tuple.transport == Transport::Tls {
            let mut rest = messages;
            while let Frame::Whole(length) = next_frame(rest) {
                write_while_read(writer, &rest[..length]).await?;
                rest = &rest[length..];
            }
        } else {
            write_while_read(writer, messages).await?;
        }
        while_read(writer.flush()).await
    }
}

/// Writes everything, for as long as the client takes some of it now and then.
async fn write_while_read<W: AsyncWrite + Unpin>(
    writer: &mut W,
    mut bytes: &[u8],
) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = while_read(writer.write(bytes)).await?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        bytes = &bytes[written..];
    }
    Ok(())
}

/// Waits for a step of writing, and gives the client up if it takes too long.
async fn while_read<T>(step: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(WRITE_TIMEOUT, step)
        .await
        .unwrap_or_else(|_| Err(io::Error::other("the client does not read")))
}

impl Reading {
    /// Bounds what a client can cost that has not shown any credentials: each request is checked against every secret.
    fn check_stranger(&mut self, received: usize) -> io::Result<()> {
        if self.has_allocated {
            return Ok(());
        }
        self.before_allocation = self.before_allocation.saturating_add(received);
        if self.before_allocation > MAX_BEFORE_ALLOCATION {
            return Err(io::Error::other("too much without an allocation"));
        }
        if self.partial.len() > MAX_MESSAGE_BEFORE_ALLOCATION {
            return Err(io::Error::other("too long a message without an allocation"));
        }
        Ok(())
    }

    fn handled(&mut self, bytes: usize) {
        if bytes > 0 {
            self.last_message = Instant::now();
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Not while the worker is borrowed: a task is dropped either by itself or with the whole event loop.
        let mut worker = self.worker.borrow_mut();
        worker.handle_disconnected(self.flow);
        worker.streams.remove(self.place);
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_now_and_then_is_kept_and_one_that_does_not_is_given_up() {
        let (mut ours, mut theirs) = tokio::io::duplex(10);
        let slow = tokio::spawn(async move {
            let mut read = [0; 5];
            for _ in 0..20 {
                tokio::time::sleep(WRITE_TIMEOUT - Duration::from_secs(1)).await;
                theirs.read_exact(&mut read).await.expect("something waits");
            }
            theirs
        });
        write_while_read(&mut ours, &[7; 100])
            .await
            .expect("the client reads");
        let _still_open = slow.await.expect("it has read all");
        let given_up = write_while_read(&mut ours, &[7; 100]).await;
        assert!(given_up.is_err());
    }
}
