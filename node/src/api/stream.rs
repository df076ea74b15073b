//! Between a stream of the API and code that reads or writes a file: bounded, and given up when the other
//! side stalls.

use std::io::{self, Read, Write};
use std::time::Duration;

use axum::body::Body;
use bytes::{Buf, Bytes, BytesMut};
use futures_util::StreamExt;
use schema::blob::FILE_BYTES_MAX;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// How long the other side may neither take nor give anything.
pub(super) const STALLED: Duration = Duration::from_secs(60);
/// Pieces on their way.
pub(super) const PIECES_MAX: usize = 4;
/// Bytes that nobody wants any more and that are read all the same: as many as the largest file has.
const PASSED_OVER_BYTES_MAX: u64 = FILE_BYTES_MAX;
/// Size of a piece that is written, in bytes.
const PIECE_BYTES: usize = 64 * 1024;

/// Gives what is written to it to a response body.
pub(super) struct PieceWriter {
    handle: Handle,
    pieces: mpsc::Sender<Result<Bytes, io::Error>>,
    buffer: BytesMut,
}

impl PieceWriter {
    pub(super) fn new(handle: Handle, pieces: mpsc::Sender<Result<Bytes, io::Error>>) -> Self {
        Self { handle, pieces, buffer: BytesMut::new() }
    }

    /// Hands a piece on.
    pub(super) fn piece(&self, piece: Bytes) -> io::Result<()> {
        let sending = timeout(STALLED, self.pieces.send(Ok(piece)));
        match self.handle.block_on(sending) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(io::ErrorKind::BrokenPipe.into()),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// Breaks the body off, so that nobody takes what was given for the whole.
    pub(super) fn broken(self, error: io::Error) {
        // Whoever read may have gone already.
        let _ = self.handle.block_on(timeout(STALLED, self.pieces.send(Err(error))));
    }
}

impl Write for PieceWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= PIECE_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let piece = self.buffer.split().freeze();
        self.piece(piece)
    }
}

/// Why a request body ended before its end.
pub(super) enum Cut {
    /// The connection broke.
    Broken(String),
    /// Nothing came any more.
    Stalled,
}

/// Hands a request body on to a [`PieceReader`], a little more than `most` bytes of it at most. When the reader has seen enough it says
/// why; the rest is passed over, up to a bound, because who is cut off while still sending does not see the answer.
pub(super) async fn feed(body: Body, to: mpsc::Sender<Bytes>, most: u64) -> Result<(), Cut> {
    let mut pieces = body.into_data_stream();
    let (mut passed, mut passed_over) = (0, 0);
    while passed <= most && passed_over <= PASSED_OVER_BYTES_MAX {
        match timeout(STALLED, pieces.next()).await {
            Ok(Some(Ok(piece))) => {
                passed += piece.len() as u64;
                let bytes = piece.len() as u64;
                if passed_over > 0 || to.send(piece).await.is_err() {
                    passed_over += bytes;
                }
            }
            Ok(None) => break,
            Ok(Some(Err(error))) => return Err(Cut::Broken(error.to_string())),
            Err(_) => return Err(Cut::Stalled),
        }
    }
    Ok(())
}

/// Reads what a request body brings.
pub(super) struct PieceReader {
    handle: Handle,
    pieces: mpsc::Receiver<Bytes>,
    current: Bytes,
}

impl PieceReader {
    pub(super) fn new(handle: Handle, pieces: mpsc::Receiver<Bytes>) -> Self {
        Self { handle, pieces, current: Bytes::new() }
    }
}

impl Read for PieceReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.handle.block_on(timeout(STALLED, self.pieces.recv())) {
                Ok(Some(piece)) => self.current = piece,
                Ok(None) => return Ok(0),
                Err(_) => return Err(io::ErrorKind::TimedOut.into()),
            }
        }
        let length = into.len().min(self.current.len());
        self.current.copy_to_slice(&mut into[..length]);
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use futures_util::stream;

    use super::*;

    /// A disk that is full after the first piece: the clerk's browser sends the rest, and then reads why.
    #[tokio::test]
    async fn what_nobody_wants_any_more_is_passed_over_up_to_its_bound() {
        for (most, expected) in [(1_000, 100), (50, 51)] {
            let taken = Arc::new(AtomicU64::new(0));
            let counted = Arc::clone(&taken);
            let pieces = stream::iter(0..100).map(move |_| {
                counted.fetch_add(1, Ordering::Relaxed);
                Ok::<_, io::Error>(Bytes::from_static(b"x"))
            });
            let (sender, mut reader) = mpsc::channel(PIECES_MAX);
            let reading = tokio::spawn(async move { reader.recv().await });
            assert!(feed(Body::from_stream(pieces), sender, most).await.is_ok());
            assert_eq!(reading.await.expect("no panic").as_deref(), Some(&b"x"[..]));
            assert_eq!(taken.load(Ordering::Relaxed), expected);
        }
    }
}
